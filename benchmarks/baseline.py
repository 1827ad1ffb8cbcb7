"""Train the plain U-Net: the translator's own examples, MRI to CT only, for a number of minutes.

`python -m benchmarks.baseline --data DIR --labels DIR --minutes M -o runs/unet`. Four fifths of the
time have a constant learning rate, then it falls to 0 in a quarter as many steps, as for the
translator. Stopped at any moment, the same command continues.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from benchmarks.data import HELD_OUT_HEADS, data_option, of_split
from benchmarks.unet import UNetConfig, new_unet, save_unet, unet_loss
from medgen.checkpoint import Card
from medgen.config import resolve, to_mapping
from medgen.data.study import Split
from medgen.phantom.anatomy import read_anatomies
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.fit import Progress, fit
from medgen.tasks.fitting.snapshots import averaged_weights, newest
from medgen.tasks.translator.examples import ExampleConfig, Examples
from medgen.tasks.translator.pairs import read_pairs

CONSTANT_SHARE = 0.8  # of the minutes; the rest is for the fall
ENDLESS = 10_000_000  # steps: time ends the first phase


@dataclass(frozen=True)
class BaselineConfig:
    """How the baseline is trained; the numbers of the translator."""

    unet: UNetConfig = field(default_factory=UNetConfig)
    examples: ExampleConfig = field(
        default_factory=lambda: ExampleConfig(patch=64, real=0.35, to_ct=1.0, regression=1.0)
    )
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=ENDLESS, batch=2, learning_rate=1e-3, decay="none", ema_decay=0.998
        )
    )


def examples_of(data: Path, labels: Path, config: ExampleConfig, seed: int) -> Examples:
    """The translator's training examples, of which only MRI to CT is asked."""
    anatomies = [one for one in read_anatomies(labels) if one.name not in HELD_OUT_HEADS]
    pairs = read_pairs(list(of_split(data, Split.TRAIN)), spacing=1.0, register=False)
    # Without a contrast the MRI of a pair is never the target.
    unnamed = [replace(pair, contrast=None) for pair in pairs]
    return Examples(anatomies, unnamed, config, seed, slots=1)


def train_unet(
    examples: Examples, config: BaselineConfig, minutes: float, out: Path
) -> Iterator[Progress]:
    """Train both phases, yield after every step, and write `out/model`."""
    torch.manual_seed(config.fit.seed)
    network = new_unet(config.unet)
    constant = replace(config.fit, minutes=CONSTANT_SHARE * minutes)
    facts = {"unet": to_mapping(config.unet), "examples": to_mapping(config.examples)}
    yield from fit(
        network, examples, unet_loss, constant, out / "constant", resume=True, card=facts
    )
    steps, state = averaged_weights(out / "constant")
    network.load_state_dict(state)
    falling = replace(
        config.fit,
        steps=max(1, round(steps * (1 - CONSTANT_SHARE) / CONSTANT_SHARE)),
        decay="linear",
        min_lr_share=0.0,
        warmup=min(20, steps),
        seed=config.fit.seed + 1,  # other examples than those of the first phase
    )
    yield from fit(network, examples, unet_loss, falling, out / "falling", resume=True, card=facts)
    more, state = averaged_weights(out / "falling")
    spent = sum(_seconds(out / phase) for phase in ("constant", "falling")) / 60
    card = Card("plain-unet", "1", "baseline", "Plain MONAI U-Net, MRI to CT.", steps=steps + more)
    save_unet(out / "model", config.unet, state, replace(card, extra={"minutes": round(spent, 1)}))


def _seconds(run: Path) -> float:
    snapshot = newest(run)
    return float(snapshot.facts["elapsed"]) if snapshot else 0.0


def main(arguments: list[str] | None = None) -> int:
    """Train, and say now and then how far it is."""
    parser = argparse.ArgumentParser(prog="benchmarks.baseline", description=__doc__)
    data_option(parser)
    parser.add_argument(
        "--labels",
        type=Path,
        default=Path("runs/labels"),
        metavar="DIR",
        help="heads and limbs, as benchmarks.limbs writes them",
    )
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/unet"), metavar="DIR")
    parser.add_argument("--minutes", type=float, required=True, help="of both phases together")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args(arguments)
    preset = to_mapping(BaselineConfig())
    config = resolve(BaselineConfig, preset=preset, settings=options.set)
    examples = examples_of(options.data, options.labels, config.examples, config.fit.seed)
    for progress in train_unet(examples, config, options.minutes, options.out):
        if progress.step % 50 == 0 or progress.snapshot:
            print(
                f"step {progress.step}  loss {progress.loss['total']:.4f}  "
                f"{progress.elapsed / 60:.1f} min",
                file=sys.stderr,
                flush=True,
            )
    print(options.out / "model")
    return 0


if __name__ == "__main__":
    sys.exit(main())
