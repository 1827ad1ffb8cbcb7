"""Train what generates radiographs: the commands, in order, and nothing hidden between them.

Patients in words teach the text encoder to read, and it stays as it is; then chests are simulated,
and the encoder of radiographs learns to meet it. A codec learns the radiographs and another the
reports, and a flow for each learns to make what the codec can write out. Every step goes on with
the model of the one before, and the last one has it all. Stopped at any moment, the same command
continues. The encoders of CT and MRI are another matter: `python -m benchmarks.train_align`.
"""

import argparse
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from medgen.data.manifest import read_manifest, write_manifest

CARD = Path(__file__).with_name("flows_card.toml")
CHESTS, TRAINING, REFERENCE = "flow-chests", "flow-chests.jsonl", "flow-reference.jsonl"
NUMBER, TRAINED_ON = 1700, 1500  # the others are what generated radiographs are compared with
Line = list[str]


@dataclass(frozen=True)
class Stage:
    """One run of `medgen align` or `medgen train`.

    Attributes:
        teaches: `align:ENCODER`, or the round.
        manifest: Of its studies, in `out`.
        steps: How many.
        settings: What differs from the defaults.
    """

    teaches: str
    manifest: str
    steps: int
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Of the run, in `out`."""
        return self.teaches.replace(":", "-")


WORDS = "words/manifest.jsonl"
READ = {"fit.batch": "64", "fit.learning_rate": "1.5e-3", "fit.ema_decay": "0.99"}
READ |= {"fit.warmup": "50", "fit.seed": "1"}
LOOK = {"fit.batch": "32", "fit.learning_rate": "1.5e-3", "fit.ema_decay": "0.99"}
LOOK |= {"fit.warmup": "30", "decoys": "12", "invariant": "0"}
STAGES = (
    Stage("align:text", WORDS, 450, READ),
    Stage("align:xray", TRAINING, 420, LOOK),
    Stage("codec:xray", TRAINING, 2600, {"loss.adversarial_from": "1600"}),
    Stage("codec:text", WORDS, 5000),
    Stage("flow:xray", TRAINING, 6500, {"fit.learning_rate": "7e-4", "focus": "4"}),
    Stage("flow:text", TRAINING, 5000),
)


def commands(out: Path) -> list[Line]:
    """The command lines, each of which needs what the one before made."""
    chests = (
        "--anatomy thorax --with text,xray --counterfactuals 3 --masks "
        f"-n {NUMBER} --seed 201 --jobs 2"
    )
    words = ["-m", "benchmarks.words", "-n", "4000", "-o", str(out / "words")]
    lines = [
        ["-m", "medgen", "phantom", *chests.split(), "--skip-existing", "-o", str(out / CHESTS)],
        words,
    ]
    model = None
    for stage in STAGES:
        lines.append(_train(stage, model, out))
        model = out / stage.folder / "model"
    return lines


def _train(stage: Stage, init: Path | None, out: Path) -> Line:
    verb, _, encoder = stage.teaches.partition("align:")
    what = ["train", "--round", verb] if verb else ["align", "--train", encoder]
    settings = [w for key, value in stage.settings.items() for w in ("--set", f"{key}={value}")]
    cache = [] if stage.teaches == "codec:text" else ["--cache", str(out / "views")]
    start = ["--init", str(init)] if init else []
    return [
        *("-m", "medgen", what[0], str(out / stage.manifest), *what[1:], *start),
        *("--card", str(CARD), "-o", str(out / stage.folder)),
        *("--steps", str(stage.steps), "--resume", *cache, *settings),
    ]


def list_chests(out: Path) -> None:
    """The manifests of what is trained on, and of what is kept to compare with."""
    studies = list(read_manifest(out / CHESTS / "manifest.jsonl"))
    write_manifest(studies[:TRAINED_ON], out / TRAINING, overwrite=True)
    write_manifest(studies[TRAINED_ON:NUMBER], out / REFERENCE, overwrite=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the commands; the first that fails ends it."""
    parser = argparse.ArgumentParser(prog="benchmarks.train_flows", description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs"), metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="print the commands only")
    options = parser.parse_args(arguments)
    lines = commands(options.out)
    if options.dry_run:
        print("\n".join(shlex.join(["python", *line]) for line in lines))
        return 0
    for line in lines:
        print(shlex.join(["python", *line]), flush=True)
        if code := subprocess.run([sys.executable, *line], check=False).returncode:
            return code
        if line[2] == "phantom":
            list_chests(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
