"""Train what makes and reports radiographs: the commands, in order, and nothing hidden between.

Patients in words teach the text encoder to read, and it stays as it is; a codec learns to write
their reports again. Then chests are there: the encoder of radiographs learns to meet the text, a
codec learns the radiographs, and a flow for each, images and reports, learns to make what the codec
can write out; that of radiographs goes on, longer, with more chests. A finder learns what
radiographs show, and a writer to say it. Two chains of commands run side by side, and what they
have trained is joined at the end. Stopped at any moment, the same command continues. The encoders
of CT and MRI are another matter: `python -m benchmarks.train_align`. One thing no command says: the
bundled codec of reports was trained when its loss was a mean over all tokens, and not yet over each
report's first.
"""

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chains import Chain, Line, run_chains, shown
from medgen.data.manifest import read_manifest, write_manifest
from medgen.tasks.fit import MODEL

CARD = Path(__file__).with_name("flows_card.toml")
CHESTS, NUMBER = "flow-chests", 3700
TRAINING, MORE = "flow-chests.jsonl", "flow-chests-2.jsonl"
REFERENCE = "flow-reference.jsonl"  # what generated radiographs are compared with
COMPARED = slice(1500, 1700)  # of the chests; the first are trained on, and later those behind too
WORDS = "words/manifest.jsonl"
TOLD = "told"  # what the flow of reports is told by: text, radiographs, and the codec of reports


@dataclass(frozen=True)
class Stage:
    """One run of `medgen align` or `medgen train`.

    Attributes:
        teaches: `align:ENCODER`, or the round.
        manifest: Of its studies, in `out`.
        steps: How many.
        settings: What differs from the defaults.
        init: The run whose model it goes on with.
        again: Whether it goes on with what an earlier one has taught.
    """

    teaches: str
    manifest: str
    steps: int
    settings: dict[str, str] = field(default_factory=dict)
    init: str | None = None
    again: bool = False

    @property
    def folder(self) -> str:
        """Of the run, in `out`."""
        return self.teaches.replace(":", "-") + ("-2" if self.again else "")


ENCODER = {"fit.batch": "64", "fit.learning_rate": "1.5e-3", "fit.ema_decay": "0.99"}
READ = ENCODER | {"fit.warmup": "50", "fit.seed": "1", "fit.precision": "bf16"}
LOOK = ENCODER | {"fit.batch": "32", "fit.warmup": "30", "decoys": "12", "invariant": "0"}
READS = Stage("align:text", WORDS, 450, READ)
WRITES = Stage("codec:text", WORDS, 4000, {"fit.precision": "bf16"}, READS.folder)
LOOKS = Stage("align:xray", TRAINING, 420, LOOK, READS.folder)
SHOWS = Stage("codec:xray", TRAINING, 2600, {"loss.adversarial_from": "1600"}, READS.folder)
DRAW = {"fit.learning_rate": "7e-4", "fit.precision": "bf16", "focus": "4"}
DRAWS = Stage("flow:xray", TRAINING, 5200, DRAW, SHOWS.folder)
DRAWS_ON = Stage("flow:xray", MORE, 11000, DRAW | {"fit.seed": "2"}, DRAWS.folder, again=True)
TELLS = Stage("flow:text", TRAINING, 5000, init=TOLD)
QUICK = {"fit.precision": "bf16"}
FINDS = Stage("report:finder", MORE, 3600, QUICK | {"fit.log_every": "50"}, TOLD)
SAYS = Stage("report:words", MORE, 700, QUICK, FINDS.folder)
STAGES = (READS, WRITES, LOOKS, SHOWS, DRAWS, DRAWS_ON, TELLS, FINDS, SAYS)


def before_chests(out: Path) -> list[Chain]:
    """Chains that end with chests, and with reports that can be read and written."""
    chests = f"--anatomy thorax --with text,xray --counterfactuals 3 --masks -n {NUMBER} --seed 201"
    words = ["-m", "benchmarks.words", "-n", "4000", "-o", str(out / "words")]
    return [
        [_phantom(chests, out / CHESTS)],
        [words, train_line(READS, out), train_line(WRITES, out)],
    ]


def after_chests(out: Path) -> list[Chain]:
    """Chains that end with all flows."""
    told = [str(out / WRITES.folder), str(out / LOOKS.folder)]
    return [
        [train_line(SHOWS, out), train_line(DRAWS, out), train_line(DRAWS_ON, out)],
        [
            train_line(LOOKS, out),
            ["-m", "benchmarks.join", *told, "-o", str(out / TOLD / MODEL)],
            *(train_line(stage, out) for stage in (TELLS, FINDS, SAYS)),
        ],
    ]


def joining(out: Path) -> Line:
    """The line that makes one model of all runs."""
    runs = [str(out / stage.folder) for stage in STAGES]
    return ["-m", "benchmarks.join", *runs, "--card", str(CARD), "-o", str(out / "flows" / MODEL)]


def _phantom(options: str, folder: Path) -> Line:
    return ["-m", "medgen", "phantom", *options.split(), "--skip-existing", "-o", str(folder)]


def train_line(stage: Stage, out: Path, *, folder: str | None = None) -> Line:
    """The command of a run; its folder is the stage's own if nobody names another."""
    verb, _, encoder = stage.teaches.partition("align:")
    what = ["train", "--round", verb] if verb else ["align", "--train", encoder]
    settings = [w for key, value in stage.settings.items() for w in ("--set", f"{key}={value}")]
    cache = [] if stage is WRITES else ["--cache", str(out / "views")]
    start = ["--init", str(out / stage.init / MODEL)] if stage.init else []
    return [
        *("-m", "medgen", what[0], str(out / stage.manifest), *what[1:], *start),
        *("--card", str(CARD), "-o", str(out / (folder or stage.folder))),
        *("--steps", str(stage.steps), "--resume", *cache, *settings),
    ]


def list_chests(out: Path) -> None:
    """The manifests of what is trained on, and of what is kept to compare with."""
    studies = list(read_manifest(out / CHESTS / "manifest.jsonl"))
    first, compared, others = (
        studies[: COMPARED.start],
        studies[COMPARED],
        studies[COMPARED.stop : NUMBER],
    )
    write_manifest(first, out / TRAINING, overwrite=True)
    write_manifest(first + others, out / MORE, overwrite=True)
    write_manifest(compared, out / REFERENCE, overwrite=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the commands; the first that fails ends it."""
    parser = argparse.ArgumentParser(prog="benchmarks.train_flows", description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs"), metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="print the commands only")
    options = parser.parse_args(arguments)
    out = options.out
    first, second, last = before_chests(out), after_chests(out), [[joining(out)]]
    if options.dry_run:
        print("\n".join(shown(line) for chain in (*first, *second, *last) for line in chain))
        return 0
    if code := run_chains(first):
        return code
    list_chests(out)
    return run_chains(second) or run_chains(last)


if __name__ == "__main__":
    sys.exit(main())
