"""What reports are held against: a writer that is told nothing, and studies without a finding.

`python -m benchmarks.report_baseline` follows `benchmarks.train_flows`. It trains the writer once
more, as long and on the same reports, but with only the images to go by, as R2Gen's decoder has
(Chen et al. 2020, arXiv:2010.16056), and simulates the studies in which nothing is to be found.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.chains import Line, run_chains, shown
from benchmarks.train_flows import SAYS_2, train_line

UNTOLD, NORMALS = "report-untold", "report-normals"
LATERALS, VOLUMES, FOLLOW_UPS = "report-laterals", "report-volumes", "report-follow-ups"
SETS = {
    # Some have a large heart, and are left out when they are counted.
    NORMALS: "--with text,xray --ill 0 -n 240 --seed 4711",
    LATERALS: "--with text,xray,xray:lateral --held-out -n 280 --seed 8801",
    VOLUMES: "--with text,xray,ct --held-out -n 150 --seed 8901",
    FOLLOW_UPS: "--with text,xray --follow-up -n 100 --seed 9101",
}


def lines(out: Path) -> list[Line]:
    """The commands: the writer first, then the sets."""
    told_nothing = ["--set", "is_told=false", "--set", "blind=0"]
    writer = [*train_line(SAYS_2, out, folder=UNTOLD), *told_nothing]
    phantom = ["-m", "medgen", "phantom", "--anatomy", "thorax", "--skip-existing"]
    return [
        writer,
        *([*phantom, *options.split(), "-o", str(out / name)] for name, options in SETS.items()),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Train and simulate, side by side."""
    parser = argparse.ArgumentParser(prog="benchmarks.report_baseline", description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs"), metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="print the commands only")
    options = parser.parse_args(arguments)
    if options.dry_run:
        print("\n".join(map(shown, lines(options.out))))
        return 0
    writer, *sets = lines(options.out)
    return run_chains([[writer], sets])


if __name__ == "__main__":
    sys.exit(main())
