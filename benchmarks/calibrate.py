"""Calibrate sigma on patients who chose the model and on training heads; write it into the card.

`python -m benchmarks.calibrate --model DIR`. Weights stay as they are, to the bit.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import Case, Loaded, real_pairs
from benchmarks.data import CT, data_option
from benchmarks.heldout import RULES
from benchmarks.methods import engine
from benchmarks.rows import Store, measure
from benchmarks.sigma import kept_errors
from medgen.checkpoint import Card, load_part, read_card
from medgen.data.body import body_of
from medgen.data.study import Split
from medgen.metrics.calibration import Calibration, fit_calibration
from medgen.modality import Kind
from medgen.phantom.study import StudyConfig, simulate_study
from medgen.tasks.device import choose_device
from medgen.tasks.translator.model import PART, load_translator, save_translator
from medgen.tasks.translator.translation import EngineConfig

HEADS = {"head_01": ("t1", "t2"), "head_02": ("flair", "pd")}  # training heads: contrasts
VOXELS = 100_000  # of each case


def training_heads(data: Path) -> Iterator[Case]:
    """Training heads, rendered by the rules of the held-out ones."""
    rules: dict[str, Any] = RULES
    for seed, (name, contrasts) in enumerate(HEADS.items()):
        labels = data / "heads" / f"{name}.nii.gz"
        for contrast in contrasts:
            kind = Kind.parse(f"mri:{contrast}")
            plain = StudyConfig(seed=seed, labels=labels, contrasts=(contrast,))
            config = replace(plain, **rules)

            yield Case("calibration", name, kind, CT, partial(_load_head, config, kind))


def _load_head(config: StudyConfig, kind: Kind) -> Loaded:
    images = simulate_study(config, 0).images
    truth = images[CT]
    return Loaded(images[kind], truth.voxels.astype(np.float32), body_of(truth))


def calibration_cases(data: Path) -> list[Case]:
    """The patients who chose the model, and the training heads."""
    patients = [replace(c, part="calibration") for c in real_pairs(data, Split.VALIDATION)]
    return [*patients, *training_heads(data)]


def calibrated(card: Card, calibration: Calibration) -> Card:
    """The card with the calibration of CT."""
    known = card.extra.get("calibration", {})
    return replace(card, extra=card.extra | {"calibration": known | {str(CT): asdict(calibration)}})


def write_calibration(folder: Path, calibration: Calibration) -> Card:
    """Save a model again with its calibration."""
    card = read_card(folder)
    config = load_translator(folder, choose_device("cpu")).translator.config
    state = load_part(folder, card, PART)
    return save_translator(folder, calibrated(card, calibration), config, state)


def main(arguments: list[str] | None = None) -> int:
    """Sample, fit and write."""
    parser = argparse.ArgumentParser(prog="benchmarks.calibrate", description=__doc__)
    data_option(parser)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), metavar="DIR")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--samples", type=int, default=4)
    options = parser.parse_args(arguments)
    model = load_translator(options.model, choose_device(options.device))
    method = engine(model, EngineConfig("diffuse", options.steps, options.samples))
    store, cases = Store(options.out), calibration_cases(options.data)
    for row in measure(cases, lambda _: [method], store):
        print(f"{row.subject} {row.source}: MAE {row.scores['mae']:.0f} HU", flush=True)
    paths = [store.path(c.part, method.name, method.key, c.name) for c in cases]
    found = [kept_errors(path.with_suffix(".npz")) for path in paths]
    error, spread = (np.concatenate([pair[at][:VOXELS] for pair in found]) for at in (0, 1))
    calibration = fit_calibration(error, spread)
    write_calibration(options.model, calibration)
    print(f"scale {calibration.scale:.3f}, floor {calibration.floor:.1f} HU")
    return 0


if __name__ == "__main__":
    sys.exit(main())
