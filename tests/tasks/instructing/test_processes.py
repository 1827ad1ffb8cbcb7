"""Two processes train readers and refiners as one does, but for rounding."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from medgen.tasks.fitting.snapshots import at_step
from tests.tasks import instruct_toy
from tests.tasks.instruct_toy import FIT, TRAIN, train_all

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folders(
    corner_flows: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """Runs of `one` process, and of `two` that `torchrun` started."""
    out = tmp_path_factory.mktemp("processes")
    one, two = out / "one", out / "two"
    given = str(corner_flows.model), str(two), str(corner_flows.manifest)
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
        *("--master-addr", "127.0.0.1", "--master-port", str(random.randrange(20_000, 30_000))),
        *(str(Path(instruct_toy.__file__)), *given),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        command, env=environment, timeout=300, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    train_all(str(corner_flows.model), one, corner_flows.manifest)
    return SimpleNamespace(one=one, two=two)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAIN)
def test_two_processes_learn_what_one_does(folders: SimpleNamespace, name: str) -> None:
    runs = folders.one / name, folders.two / name
    begin = at_step(runs[0], 0).tensors("weights")
    one, two = (at_step(run, FIT["steps"]).tensors("weights") for run in runs)
    for key in one:
        if not key.endswith(".conv.bias"):  # a norm takes it away: its gradient is rounding alone
            off = (one[key] - two[key]).abs()
            # Where a gradient is little but rounding, Adam makes a step of it: in single weights.
            assert (off > 1e-5).float().mean() < 0.01
            assert off.max() < FIT["learning_rate"] / 10
            moved = (one[key] - begin[key]).abs().max()
            # The steps of two numbers may cancel; they are not rounding all the same.
            assert moved > (5e-4 if one[key].numel() > 2 else 10 * off.max()), key


@pytest.mark.slow
def test_the_first_process_alone_writes_who_was_retrieved(folders: SimpleNamespace) -> None:
    one, two = (
        json.loads((run / "retrieval" / "retrieval.json").read_text())
        for run in (folders.one, folders.two)
    )
    assert one == two
    assert one["most"] == 3
