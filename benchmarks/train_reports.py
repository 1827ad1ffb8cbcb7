"""Train what reports radiographs: the commands, in order, and nothing hidden between them.

A finder learns from facts and masks of simulated chests what a radiograph shows; a writer learns
from their reports to say it. A second writer, which is told no facts and has only the images to go
by, is what `benchmarks.reporting` holds the first one against. The chests are those of
`benchmarks.train_flows` that nothing is compared with, and more of them.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.train_flows import CHESTS, NUMBER, REFERENCE, TRAINED_ON
from medgen.data.manifest import read_manifest, write_manifest
from medgen.tasks.batch import MANIFEST

ALL = 3700  # chests
MORE = "report-chests.jsonl"
FINDER, WORDS, UNTOLD, NORMALS = "report-finder", "report-words", "report-untold", "report-normals"
NORMAL, NORMAL_SEED = 240, 4711  # of which 200 have no large heart either


def simulated(out: Path) -> list[list[str]]:
    """The commands that make the studies."""
    phantom = ["phantom", "--anatomy", "thorax", "--with", "text,xray"]
    drawn = ["--counterfactuals", "3", "--masks", "--seed", "201"]
    normal = ["-n", str(NORMAL), "--ill", "0", "--seed", str(NORMAL_SEED)]
    return [
        [*phantom, "-n", str(ALL), *drawn, "-o", str(out / CHESTS)],
        [*phantom, *normal, "-o", str(out / NORMALS)],
    ]


def trained(out: Path, init: str) -> list[list[str]]:
    """The commands that train."""
    train = ["train", str(out / MORE), "--cache", str(out / "views")]
    words = [*train, "--round", "report:words", "--init", str(out / FINDER / "model")]
    words += ["--steps", "700", "--set", "fit.precision=bf16"]
    finder = [*train, "--round", "report:finder", "--init", init, "--steps", "3600"]
    finder += ["--set", "fit.precision=bf16", "--set", "fit.log_every=50"]
    return [
        [*finder, "-o", str(out / FINDER)],
        [*words, "-o", str(out / WORDS)],
        [*words, "--set", "is_told=false", "--set", "blind=0", "-o", str(out / UNTOLD)],
    ]


def split(out: Path) -> None:
    """List the chests to learn from: all but those that others are compared with."""
    listed = read_manifest(out / CHESTS / MANIFEST)
    write_manifest([*listed[:TRAINED_ON], *listed[NUMBER:]], out / MORE, overwrite=True)
    write_manifest(listed[TRAINED_ON:NUMBER], out / REFERENCE, overwrite=True)


def main(arguments: list[str] | None = None) -> int:
    """Simulate, split, and train; what is there already is left as it is."""
    parser = argparse.ArgumentParser(prog="benchmarks.train_reports", description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs"), metavar="DIR")
    parser.add_argument("--init", default="flows", help="a model with encoders and tokenizer")
    parser.add_argument("--dry-run", action="store_true", help="print the commands")
    options = parser.parse_args(arguments)
    for command in simulated(options.out):
        _run(command, options.dry_run, Path(command[-1]) / MANIFEST)
    if not options.dry_run:
        split(options.out)
    for command in trained(options.out, options.init):
        _run(command, options.dry_run, Path(command[-1]) / "model" / "model.json")
    return 0


def _run(command: list[str], dry_run: bool, made: Path) -> None:
    if dry_run:
        print("medgen", *command)
    elif not made.exists():
        resume = ["--resume"] if command[0] == "train" else []
        subprocess.run([sys.executable, "-m", "medgen", *command, *resume], check=True)


if __name__ == "__main__":
    sys.exit(main())
