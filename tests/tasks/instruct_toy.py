"""The three rounds about references, as small as they get; also a program, for `torchrun`."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from medgen.config import from_mapping
from medgen.tasks.fitting.fit import Progress
from medgen.tasks.instructing.archive_train import ArchiveTrainConfig, train_archive
from medgen.tasks.instructing.train import InstructTrainConfig, train_instruct
from medgen.tasks.refining.train import RefineTrainConfig, train_refiner

FIT = {"steps": 6, "batch": 4, "learning_rate": 3e-3, "warmup": 0, "ema_decay": 0.0, "seed": 1}
READER = {"width": 16, "layers": 1, "heads": 2}
FINE = {"side": 64, "patch": 32, "refiner": {"widths": [8, 16]}}

Train = Callable[[str, Path, Path], Iterator[Progress]]


def _fit(init: str) -> dict[str, object]:
    return {"init": init, "fit": FIT | {"device": "cpu"}}


def _instruct(init: str, out: Path, manifest: Path) -> Iterator[Progress]:
    config = from_mapping(InstructTrainConfig, {"reader": READER, **_fit(init)})
    return train_instruct(config, out, manifest=manifest)


def _retrieval(init: str, out: Path, manifest: Path) -> Iterator[Progress]:
    config = from_mapping(ArchiveTrainConfig, {"reader": READER, "max_reuse": 3, **_fit(init)})
    return train_archive(config, out, manifest=manifest)


def _refine(init: str, out: Path, manifest: Path) -> Iterator[Progress]:
    config = from_mapping(RefineTrainConfig, {**FINE, **_fit(init)})
    return train_refiner(config, out, manifest=manifest)


TRAIN: dict[str, Train] = {"instruct": _instruct, "retrieval": _retrieval, "refine": _refine}


def train_all(init: str, out: Path, manifest: Path) -> None:
    """Train each round, into a folder of its name."""
    for name, train in TRAIN.items():
        for _ in train(init, out / name, manifest):
            pass


if __name__ == "__main__":
    torch.set_num_threads(1)
    train_all(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
