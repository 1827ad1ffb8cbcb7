"""Train readers of references, and the baselines that get them raw: same studies, size and steps.

Each learns for the bundled flow of radiographs, which stays as it is. The instruction model reads
references with the flow's own encoder; a multi-task model gets them as raw channels, a slot for
each role, and learns all the same tasks; a single-task model gets them so and learns one. Each
comes once with retrieval-augmented training before, and once with as many more steps of its own.
The studies are those of `benchmarks.train_flows`. `benchmarks.run --only instruct` compares them.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chains import Chain, run_chains, shown
from benchmarks.train_flows import TRAINING, Stage, train_line

FOLDER = "readers"  # of all runs
CONTEXT_STEPS, STEPS = 1500, 4500
FEW = {"fit.batch": "8", "fit.log_every": "25"}
FAST = {"fit.learning_rate": "1e-3"}  # of retrieval; the default is gentler by now
NEW, RAW = {"anew": "true"}, {"reader.raw": "true"}
SINGLE = ("look", "anatomy")  # tasks of single-task models
ZERO_SHOT = "anatomy+look"  # which nobody learns
INSTRUCTION, MULTI, ONE = "instruction", "multi-task", "single-task"


@dataclass(frozen=True)
class Contestant:
    """A way to be given references, and what it has learned.

    Attributes:
        name: What tables call it.
        task: The one that a single-task model learns; empty for all.
        is_raw: Whether it gets references as raw channels.
        has_context: Whether retrieval-augmented training came before.
    """

    name: str
    task: str = ""
    is_raw: bool = True
    has_context: bool = False

    @property
    def folder(self) -> str:
        """Of its run."""
        words = [self.name, self.task, "context" if self.has_context else ""]
        return f"{FOLDER}/{'-'.join(filter(None, words))}"

    @property
    def asked(self) -> tuple[str, ...]:
        """Tasks that it is measured on: what it has learned of these, and what nobody has."""
        return (*((self.task,) if self.task else SINGLE), ZERO_SHOT)

    @property
    def stages(self) -> list[tuple[str, Stage]]:
        """Its runs by their folders, the last one its own."""
        own = FEW | (RAW if self.is_raw else {})
        tasks = {"tasks": f'["{self.task}"]'} if self.task else {}
        if not self.has_context:
            steps = CONTEXT_STEPS + STEPS
            return [(self.folder, Stage("instruct", TRAINING, steps, NEW | own | tasks))]
        first = f"{FOLDER}/context{'-raw' if self.is_raw else ''}"
        return [
            (first, Stage("retrieval", TRAINING, CONTEXT_STEPS, NEW | own | FAST)),
            (self.folder, Stage("instruct", TRAINING, STEPS, own | tasks, first)),
        ]


CONTESTANTS = tuple(
    Contestant(name, task, name != INSTRUCTION, has_context)
    for has_context in (False, True)
    for name, tasks in ((INSTRUCTION, ("",)), (MULTI, ("",)), (ONE, SINGLE))
    for task in tasks
)


def chains(out: Path) -> list[Chain]:
    """A chain for each that begins anew; then, for each way to read, of all after retrieval."""
    after, alone = (
        [one for one in CONTESTANTS if one.has_context is has_context]
        for has_context in (True, False)
    )
    starts = [[one for one in after if one.is_raw is is_raw] for is_raw in (True, False)]
    return [
        [
            train_line(stage, out, folder=folder)
            for folder, stage in dict(each for one in together for each in one.stages).items()
        ]
        for together in (*([one] for one in alone), *starts)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the commands; the first that fails ends it."""
    parser = argparse.ArgumentParser(prog="benchmarks.train_readers", description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs"), metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="print the commands only")
    options = parser.parse_args(arguments)
    every = chains(options.out)
    if options.dry_run:
        print("\n".join(shown(line) for chain in every for line in chain))
        return 0
    return run_chains(every)


if __name__ == "__main__":
    sys.exit(main())
