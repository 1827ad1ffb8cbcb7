"""Train the bundled translator again: the commands, in order, and nothing hidden between them.

First with a constant learning rate, then from its averaged weights with one that falls to 0; then
sigma is calibrated. Stopped at any moment, the same command continues.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

from benchmarks.data import HELD_OUT_HEADS, data_option

CARD = Path(__file__).with_name("base_card.toml")
CONSTANT = {"fit.learning_rate": "1e-3", "fit.decay": "none", "fit.ema_decay": "0.998"}
FALLING = CONSTANT | {"fit.decay": "linear", "fit.min_lr_share": "0.0", "fit.warmup": "20"}
COMMON = {"fit.batch": "2", "fit.precision": "fp32", "fit.device": "auto"}


def commands(data: Path, out: Path, *, steps: int, decay_steps: int) -> list[list[str]]:
    """The command lines, in order.

    Args:
        data: The data folder.
        out: Gets `pairs.jsonl`, `base/` and `base-decay/`; the model is `base-decay/model`.
        steps: With the constant learning rate.
        decay_steps: With the falling one.
    """
    manifest, first, second = out / "pairs.jsonl", out / "base", out / "base-decay"
    init = ["--init", str(first / "model")]
    return [
        ["-m", "benchmarks.data", "--data", str(data), "-o", str(manifest)],
        _train(data, manifest, first, steps, CONSTANT),
        [*_train(data, manifest, second, decay_steps, FALLING), *init],
        ["-m", "benchmarks.calibrate", "--data", str(data), "--model", str(second / "model")],
    ]


def _train(data: Path, manifest: Path, out: Path, steps: int, rate: dict[str, str]) -> list[str]:
    settings = [
        word for key, value in (COMMON | rate).items() for word in ("--set", f"{key}={value}")
    ]
    return [
        *("-m", "medgen", "train", str(manifest), "--allow-outside"),
        *("--labels", str(data / "heads"), "--hold-out", ",".join(HELD_OUT_HEADS)),
        *("--card", str(CARD), "-o", str(out), "--steps", str(steps), "--resume", *settings),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Run the commands; the first that fails ends it."""
    parser = argparse.ArgumentParser(prog="benchmarks.train_base", description=__doc__)
    data_option(parser)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs"), metavar="DIR")
    parser.add_argument("--steps", type=int, required=True, help="at a constant learning rate")
    parser.add_argument("--decay-steps", type=int, required=True, help="while it falls to 0")
    parser.add_argument("--dry-run", action="store_true", help="print the commands only")
    options = parser.parse_args(arguments)
    lines = commands(
        options.data, options.out, steps=options.steps, decay_steps=options.decay_steps
    )
    for line in lines:
        print(shlex.join(["python", *line]), flush=True)
        if not options.dry_run and (code := subprocess.run([sys.executable, *line]).returncode):
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
