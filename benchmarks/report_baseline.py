"""What reports are held against: a writer that is told nothing, and studies without a finding.

`python -m benchmarks.report_baseline` follows `benchmarks.train_flows`. It trains the writer once
more, as long and on the same reports, but with only the images to go by, as R2Gen's decoder has
(Chen et al. 2020, arXiv:2010.16056), and simulates the studies in which nothing is to be found.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.chains import Line, run_chains, shown
from benchmarks.train_flows import SAYS, train_line

UNTOLD, NORMALS = "report-untold", "report-normals"
NORMAL, SEED = 240, 4711  # some have a large heart, and are left out when they are counted


def lines(out: Path) -> list[Line]:
    """The two commands."""
    normal = ["--anatomy", "thorax", "--with", "text,xray", "--ill", "0", "--seed", str(SEED)]
    normal += ["-n", str(NORMAL), "--skip-existing", "-o", str(out / NORMALS)]
    told_nothing = ["--set", "is_told=false", "--set", "blind=0"]
    return [
        ["-m", "medgen", "phantom", *normal],
        [*train_line(SAYS, out, folder=UNTOLD), *told_nothing],
    ]


def main(arguments: list[str] | None = None) -> int:
    """Run both, side by side."""
    parser = argparse.ArgumentParser(prog="benchmarks.report_baseline", description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs"), metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="print the commands only")
    options = parser.parse_args(arguments)
    if options.dry_run:
        print("\n".join(map(shown, lines(options.out))))
        return 0
    return run_chains([[line] for line in lines(options.out)])


if __name__ == "__main__":
    sys.exit(main())
