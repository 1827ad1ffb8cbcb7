"""The mean of several translators' weights, which is better than most of them.

They have to be phases of one training: only then is there no ridge between them (Wortsman et al.
2022, Model soups). `python -m benchmarks.average MODEL ... -o DIR`; the card is the last one's.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from medgen.checkpoint import Card
from medgen.errors import UsageError
from medgen.tasks.translator.model import load_translator, save_translator


def average(models: Sequence[str | Path], out: Path) -> Card:
    """Write the mean of the models' weights to `out`; its card names what went into it.

    Raises:
        UsageError: If they are not of one shape.
    """
    loaded = [load_translator(model, torch.device("cpu")) for model in models]
    last = loaded[-1]
    config = last.translator.config
    if any(one.translator.config != config for one in loaded):
        raise UsageError("the models have different shapes")
    states = [one.translator.state_dict() for one in loaded]
    mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
    digests = [one.card.digest for one in loaded]
    card = replace(last.card, extra={**last.card.extra, "mean_of": digests})
    return save_translator(out, card, config, mean)


def main(arguments: list[str] | None = None) -> int:
    """Average, and say where the result is."""
    parser = argparse.ArgumentParser(prog="benchmarks.average", description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(arguments)
    average(options.models, options.out)
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
