"""One model of the parts that several runs trained.

`python -m benchmarks.join RUN... -o MODEL` takes the model of each run; of a part that several
have, the last one's. A codec with a name of its own, whose latents no flow makes any more, stays
behind. The runs' journals come along, thinned, by the names of their folders; those of bundled
models lie in `benchmarks/journals`, since nobody needs them to use a model.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medgen.checkpoint import Card, read_card, save_model
from medgen.modality import Modality
from medgen.tasks.codecs.model import codec_part
from medgen.tasks.fitting.fit import JOURNAL, MODEL
from medgen.tasks.fitting.run_card import card_of
from medgen.tasks.model_parts import Configs, Parts, parts_of


def join(runs: Sequence[Path], target: Path, card: Path | None = None) -> Card:
    """Write one model.

    Args:
        runs: Folders of `medgen align` or `medgen train`, earliest first.
        target: Where the model will be; an older one is replaced.
        card: TOML of what a person says of it; None: the last run's card says it.

    Raises:
        ModelError: If a run has no model, or a damaged one.
    """
    parts: Parts = {}
    configs: Configs = {}
    extra: dict[str, object] = {}
    steps = 0
    for run in runs:
        more = parts_of(run / MODEL)
        parts, configs, extra = parts | more[0], configs | more[1], extra | more[2]
        steps += _own_steps(run)
    for name in _unused(configs):
        del parts[name], configs[name]
        for word in ("training", "steps"):
            extra.pop(f"{word}-{name}", None)
    last = read_card(runs[-1] / MODEL)
    said = card_of(str(card), last.name, last.task) if card else last
    whole = replace(said, steps=steps, extra=extra)
    written = save_model(target, whole, parts, configs=configs, overwrite=True)
    for run in runs:
        lines = thinned((run / JOURNAL).read_text(encoding="utf-8").splitlines(keepends=True))
        (target / f"{run.name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return written


def _unused(configs: Configs) -> list[str]:
    """Named codecs whose latents no flow makes."""
    made = {
        codec_part(Modality(name.removeprefix("flow-")), config["codec"])
        for name, config in configs.items()
        if name.startswith("flow-") and config.get("codec")
    }
    return [n for n in configs if n.startswith("codec-") and n.count("-") == 2 and n not in made]


def thinned(lines: Sequence[str], most: int = 100) -> list[str]:
    """At most so many of a journal's lines, evenly spread; the last is among them.

    Example:
        >>> thinned("abcdefg", most=3)
        ['a', 'd', 'g']
    """
    every = -(-len(lines) // most)
    return list(lines[(len(lines) - 1) % every :: every]) if lines else []


def _own_steps(run: Path) -> int:
    """Of this run alone: its card counts those of the model that it went on with, too."""
    *_, last = (run / JOURNAL).read_text(encoding="utf-8").splitlines()
    return int(json.loads(last)["step"])


def main(arguments: list[str] | None = None) -> int:
    """Join, and say what the model holds."""
    parser = argparse.ArgumentParser(prog="benchmarks.join", description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--card", type=Path, metavar="TOML")
    options = parser.parse_args(arguments)
    written = join(options.runs, options.out, options.card)
    print(f"{options.out}: {', '.join(written.parts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
