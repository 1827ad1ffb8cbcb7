"""Two processes have the loss and the gradient of one."""

import multiprocessing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from medgen.align.gather import gathered
from tests.align import gather_toy


def test_one_process_gathers_what_it_has() -> None:
    rows = torch.randn(3, 2, requires_grad=True)
    assert gathered(rows) is rows


@pytest.mark.slow
def test_two_processes_have_the_loss_and_the_gradient_of_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.align.gather_toy"])
    processes = [
        context.Process(target=gather_toy.main, args=(rank, 2, str(tmp_path))) for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    one = gather_toy.learned(0, 1)
    assert set(one) >= {"loss text-ct", "loss ct", "gradient log_scale", "gradient ct"}
    assert all(one[f"gradient {name}"].any() for name in ("text", "xray", "ct", "log_scale"))
    for rank in (0, 1):
        two = load_file(tmp_path / f"{rank}.safetensors")
        rows = two.pop("rows")
        assert torch.equal(rows, torch.tensor([[0, 0.1], [0, 0.7], [1, 0.1], [1, 0.7]]))
        torch.testing.assert_close(two, one)
