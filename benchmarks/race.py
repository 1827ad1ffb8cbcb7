"""Train the translator and a plain U-Net from nothing, on the same examples for the same minutes.

`python -m benchmarks.race translator --data DIR --labels DIR --minutes M` and the same with `unet`,
at one time, a core each. Both see one MRI and are asked for its CT; four fifths of the time have a
constant learning rate, then it falls to 0 in a quarter as many steps. The U-Net may have
`--set fit.precision=bf16`, which CPUs that know it compute faster; the translator's gradient
overflows so. Stopped at any moment, the same command continues.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.data import HELD_OUT_HEADS, data_option, of_split
from benchmarks.methods import UNET
from benchmarks.unet import UNetConfig, new_unet, save_unet, unet_loss
from medgen.checkpoint import Card
from medgen.config import resolve, to_mapping
from medgen.data.study import Split
from medgen.phantom.anatomy import read_anatomies
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.fit import Loss, Progress, fit
from medgen.tasks.fitting.snapshots import averaged_weights, newest
from medgen.tasks.translator.examples import ExampleConfig, Examples
from medgen.tasks.translator.loss import translator_loss
from medgen.tasks.translator.model import save_translator
from medgen.tasks.translator.pairs import read_pairs
from medgen.tasks.translator.translator import Translator, TranslatorConfig

CONSTANT_SHARE = 0.8  # of the minutes; the rest is for the fall
ENDLESS = 10_000_000  # steps: time ends the first phase
RACE = Path("runs/race")  # gets a folder of each
TRANSLATOR = "translator"


@dataclass(frozen=True)
class RaceConfig:
    """What both learn from and how; the size of the bundled translator, and of the U-Net."""

    unet: UNetConfig = field(default_factory=UNetConfig)
    translator: TranslatorConfig = field(
        default_factory=lambda: TranslatorConfig(
            mri_slots=1, widths=(24, 48, 64, 128, 128), detail=64, knee=0.02
        )
    )
    examples: ExampleConfig = field(
        default_factory=lambda: ExampleConfig(patch=64, real=0.35, to_ct=1.0, regression=1.0)
    )
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=ENDLESS, batch=2, learning_rate=1e-3, decay="none", ema_decay=0.998
        )
    )


@dataclass(frozen=True)
class Runner:
    """One who runs.

    Attributes:
        shape: Of the network.
        network: Untrained.
        loss: Of a batch of examples.
        save: Writes a model folder: its path, card, shape and averaged weights.
    """

    shape: Any
    network: nn.Module
    loss: Loss
    save: Callable[[Path, Card, Any, dict[str, Tensor]], Card]


def runner_of(name: str, config: RaceConfig) -> Runner:
    """The translator or the U-Net, with weights drawn from the seed."""
    torch.manual_seed(config.fit.seed)
    if name == UNET:
        return Runner(config.unet, new_unet(config.unet), unet_loss, save_unet)
    shape = config.translator
    return Runner(shape, Translator(shape), translator_loss, save_translator)


def examples_of(data: Path, labels: Path, config: ExampleConfig, seed: int) -> Examples:
    """The translator's training examples, of which only MRI to CT is asked."""
    anatomies = [one for one in read_anatomies(labels) if one.name not in HELD_OUT_HEADS]
    pairs = read_pairs(list(of_split(data, Split.TRAIN)), spacing=1.0, register=False)
    # Without a contrast the MRI of a pair is never the target.
    unnamed = [replace(pair, contrast=None) for pair in pairs]
    return Examples(anatomies, unnamed, config, seed, slots=1)


def train_runner(
    name: str, examples: Examples, config: RaceConfig, minutes: float, out: Path
) -> Iterator[Progress]:
    """Train both phases, yield after every step, and write `out/model`."""
    runner = runner_of(name, config)
    constant = replace(config.fit, minutes=CONSTANT_SHARE * minutes)
    facts = {name: to_mapping(runner.shape), "examples": to_mapping(config.examples)}
    yield from fit(
        runner.network, examples, runner.loss, constant, out / "constant", resume=True, card=facts
    )
    steps, state = averaged_weights(out / "constant")
    runner.network.load_state_dict(state)
    falling = replace(
        config.fit,
        steps=max(1, round(steps * (1 - CONSTANT_SHARE) / CONSTANT_SHARE)),
        decay="linear",
        min_lr_share=0.0,
        warmup=min(20, steps),
        seed=config.fit.seed + 1,  # other examples than those of the first phase
    )
    yield from fit(
        runner.network, examples, runner.loss, falling, out / "falling", resume=True, card=facts
    )
    more, state = averaged_weights(out / "falling")
    spent = sum(_seconds(out / phase) for phase in ("constant", "falling")) / 60
    card = Card(f"race-{name}", "1", "translate", "MRI to CT, from nothing.", steps=steps + more)
    card = replace(card, extra={"minutes": round(spent, 1)})
    runner.save(out / "model", card, runner.shape, state)


def _seconds(run: Path) -> float:
    snapshot = newest(run)
    return float(snapshot.facts["elapsed"]) if snapshot else 0.0


def main(arguments: list[str] | None = None) -> int:
    """Train one of them, and say now and then how far it is."""
    parser = argparse.ArgumentParser(prog="benchmarks.race", description=__doc__)
    parser.add_argument("who", choices=(TRANSLATOR, UNET))
    data_option(parser)
    parser.add_argument(
        "--labels",
        type=Path,
        default=Path("runs/labels"),
        metavar="DIR",
        help="heads and limbs, as benchmarks.limbs writes them",
    )
    parser.add_argument("-o", "--out", type=Path, default=RACE, metavar="DIR")
    parser.add_argument("--minutes", type=float, required=True, help="of both phases together")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args(arguments)
    preset = to_mapping(RaceConfig())
    config = resolve(RaceConfig, preset=preset, settings=options.set)
    examples = examples_of(options.data, options.labels, config.examples, config.fit.seed)
    out = options.out / options.who
    for progress in train_runner(options.who, examples, config, options.minutes, out):
        if progress.step % 50 == 0 or progress.snapshot:
            print(
                f"step {progress.step}  loss {progress.loss['total']:.4f}  "
                f"{progress.elapsed / 60:.1f} min",
                file=sys.stderr,
                flush=True,
            )
    print(out / "model")
    return 0


if __name__ == "__main__":
    sys.exit(main())
