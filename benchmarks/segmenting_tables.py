"""Table and goal of segmenters: how much woven cases add, with an interval over the chests."""

from collections.abc import Sequence

from benchmarks.results import Column, Goal, Table, cell
from benchmarks.rows import Row
from benchmarks.segmenting import ARMS, FEW, FINDING, PART, WOVEN
from benchmarks.tables import subjects_of, values
from medgen.metrics.bootstrap import Interval, interval, paired_interval

NOTE = (
    f"A U-Net that segments {FINDING}s, trained as long on eight simulated radiographs with masks "
    "and 48 without the finding; on these and 48 into which a concept was woven that was learned "
    "of the eight; on these and as many into which the eight were pasted. Dice on chests that "
    "nothing was trained on, the mean of three segmenters each. Mean ± SD over the chests, [95 % "
    "bootstrap interval]."
)


def segmenting_table(rows: Sequence[Row]) -> Table:
    """A line for each segmenter."""
    columns = (
        Column(""),
        Column("Dice", 3),
        Column("less that of the few", 3),
        Column("cases"),
    )
    lines = []
    for arm in ARMS:
        own = [row for row in rows if row.method == arm]
        if not own:
            continue
        dice = interval(values(rows, arm, "dice", subjects_of(rows)))
        gain = None if arm == FEW else cell(_gain(rows, arm))
        lines.append([arm, cell(dice), gain, own[0].scores["cases"]])
    return Table(PART, "Woven cases for a segmenter", NOTE, columns, lines)


def segmenting_goals(rows: Sequence[Row]) -> list[Goal]:
    """Woven cases help for sure."""
    found = _gain(rows, WOVEN)
    low = found.low if found.count > 1 else None
    what = "segmenter with woven cases: lower end of the interval of the gain in Dice"
    return [Goal(what, "above 0", low, None if low is None else low > 0, 3)]


def _gain(rows: Sequence[Row], arm: str) -> Interval:
    subjects = subjects_of(rows)
    ours, theirs = (values(rows, each, "dice", subjects) for each in (arm, FEW))
    return paired_interval(ours, theirs)
