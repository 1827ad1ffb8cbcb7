"""Which model is best? Compared on three training patients, never on those who are reported.

`python -m benchmarks.choose MODEL [MODEL ...]`: the least MAE last.
"""

import argparse
import math
import sys
from pathlib import Path

from benchmarks.cases import real_pairs
from benchmarks.data import data_option
from benchmarks.methods import engine
from benchmarks.rows import Store, measure
from medgen.data.study import Split
from medgen.tasks.device import choose_device
from medgen.tasks.translator.model import load_translator
from medgen.tasks.translator.translation import EngineConfig


def validation_mae(model: str, data: Path, store: Store, device: str) -> dict[str, float]:
    """MAE of `regress` on each of the three patients, HU."""
    method = engine(load_translator(model, choose_device(device)), EngineConfig("regress"))
    cases = real_pairs(data, Split.VALIDATION)
    rows = measure(cases, lambda _: [method], store)
    return {row.subject: row.scores["mae"] for row in rows}


def main(arguments: list[str] | None = None) -> int:
    """Compare, and print one line a model."""
    parser = argparse.ArgumentParser(prog="benchmarks.choose", description=__doc__)
    data_option(parser)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), metavar="DIR")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    found = []
    for model in options.models:
        errors = validation_mae(model, options.data, Store(options.out), options.device)
        found.append((math.fsum(errors.values()) / len(errors), model, errors))
    for mean, model, errors in sorted(found, key=lambda one: one[0], reverse=True):
        each = "  ".join(f"{subject} {error:.1f}" for subject, error in errors.items())
        print(f"{mean:.1f} HU  {model}  ({each})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
