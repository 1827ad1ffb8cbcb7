"""A finder and a writer that know four radiographs with a square in one corner."""

from pathlib import Path

from medgen.config import from_mapping
from medgen.tasks.finder.config import FinderTrainConfig
from medgen.tasks.finder.train import train_finder
from medgen.tasks.fitting.fit import MODEL
from medgen.tasks.reporting.writer_train import WriterTrainConfig, train_writer

FIT = {"steps": 150, "batch": 8, "learning_rate": 5e-3, "warmup": 5, "ema_decay": 0.9}
FINDER = {
    "standard": {"side": 32},
    "details": 1.0,
    "finder": {
        "kinds": ["xray", "xray:lateral"],
        "widths": [8, 16, 16],
        "width": 16,
        "blotted": 0.0,
    },
    "fit": FIT,
}
WRITER = {"writer": {"max_tokens": 48, "width": 32, "layers": 1, "heads": 2}, "fit": FIT}


def toy_reporter(manifest: Path, init: Path, out: Path, steps: int = 150) -> Path:
    """The folder of a model that also reports."""
    fit = {"fit": FIT | {"steps": steps}}
    finder = from_mapping(FinderTrainConfig, FINDER | fit | {"init": str(init)})
    for _ in train_finder(finder, out / "finder", manifest=manifest):
        pass
    writer = from_mapping(WriterTrainConfig, WRITER | fit | {"init": str(out / "finder" / MODEL)})
    for _ in train_writer(writer, out / "writer", manifest=manifest):
        pass
    return out / "writer" / MODEL
