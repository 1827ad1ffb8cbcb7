"""A run of seconds that the tests of the training loop share; also a program: see `main`."""

import atexit
import json
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # which every first optimizer imports, for seconds; forks find it done
from torch import Tensor, nn

from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.fit import Progress, fit
from medgen.tasks.fitting.snapshots import newest


def toy_network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv1d(1, 4, 3, padding=1), nn.SiLU(), nn.Dropout(0.1), nn.Conv1d(4, 1, 3, padding=1)
        )


def exact_network() -> nn.Module:
    """Without dropout, whose masks depend on how the batch is dealt out."""
    network = toy_network()
    network[2] = nn.Identity()
    return network


def make_item(number: int) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    return torch.randn(1, 16, generator=generator)


def slow_item(number: int) -> Tensor:
    time.sleep(0.002)
    return make_item(number)


def loss(network: nn.Module, items: list[Any]) -> dict[str, Tensor]:
    clean = torch.stack(items)
    error = network(clean) - clean.flip(-1)
    return {"total": error.square().mean(), "bias": error.mean()}


def toy_config(**changes: Any) -> FitConfig:
    defaults = {"steps": 12, "batch": 4, "learning_rate": 1e-2, "warmup": 2, "log_every": 3}
    return FitConfig(**{**defaults, **changes})


def run(folder: Path, network: nn.Module | None = None, **options: Any) -> list[Progress]:
    resume = options.pop("resume", False)
    stop_at = options.pop("stop_at", None)
    card = options.pop("card", None)
    progress = []
    config = toy_config(**options)
    network = network or toy_network()
    for step in fit(network, make_item, loss, config, folder, resume=resume, card=card):
        progress.append(step)
        if step.step == stop_at:
            break
    return progress


def final(folder: Path, part: str = "weights") -> dict[str, Tensor]:
    snapshot = newest(folder)
    assert snapshot is not None
    return snapshot.tensors(part)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def main(folder: str, options: str) -> None:
    """Run as a program: `fit_toy.py FOLDER '{"steps": 9}'`.

    With `"twice": true` it stops after one step, and resumes with a new network.
    """
    torch.set_num_threads(1)
    wishes = json.loads(options)
    build = exact_network if wishes.pop("exact", False) else toy_network
    item = slow_item if wishes.pop("slow", False) else make_item
    budgets = [1e-9, None] if wishes.pop("twice", False) else [None]
    for minutes in budgets:
        config = toy_config(**wishes, minutes=minutes)
        list(fit(build(), item, loss, config, Path(folder), resume=True))


def main_in_own_session(folder: str, options: str) -> None:
    """`main`, for `multiprocessing`, with the exit code that a shell would see."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main(folder, options)
    except KeyboardInterrupt:
        sys.exit(130)


def main_that_stops_listening(folder: str) -> None:
    """One step with workers, then what the interpreter does at the end of a program."""
    held = fit(toy_network(), make_item, loss, toy_config(workers=2), Path(folder))
    next(held)
    atexit._run_exitfuncs()
    assert not multiprocessing.active_children()


if __name__ == "__main__":
    main(*sys.argv[1:])
