"""Tables and goals of weaving: how like the concept, how visible the seam, what else changed."""

from collections.abc import Sequence
from statistics import fmean

from benchmarks.results import Column, Goal, Table, at_least, at_most
from benchmarks.rows import Row
from benchmarks.weaving import CONCEPTS, ESTIMATES, FEATURES, INSTANT, METHODS, PART

NOTE = (
    "Concepts learned of twelve simulated chests each (`instant`: of five, without training), put "
    "where another chest has such a finding, into chests in which there is none. Contrast: how "
    "far that of the region and its surroundings is from the examples', in their standard "
    "deviations; within: share of regions that are less than one away; mean: the same of the "
    "region's own mean. What weaving changes is added as often as brings both nearest to the "
    "examples, at most three times, but for `not matched` and `copy and paste`. Seam: gradient on "
    "the border beside both sides of it, 1 does not show; grain: that of the region beside its "
    "surroundings. Judged: share in which a network that no flow was trained with sees the "
    "finding on that side. Outside: largest change, grey levels. Edges: SSIM of the gradients of "
    "scan and result. Means over all concepts."
)
EACH = "The same, concept by concept."
COLUMNS = {
    "contrast": Column("contrast", 2),
    "within": Column("within", 2),
    "mean": Column("mean", 2),
    "seam": Column("seam", 2),
    "grain": Column("grain", 2),
    "judged": Column("judged", 2),
    "outside": Column("outside"),
    "edges": Column("edges", 3),
    "seconds": Column("s", 1),
    "learn": Column("s to learn"),
    "n": Column("n"),
}
SEAM, JUDGED, LEARN, INSTANTLY = 1.15, 0.85, 600.0, 5.0


def weaving_tables(rows: Sequence[Row]) -> list[Table]:
    """Both tables, empty where nothing was measured."""
    lines = [[method, *_means(rows, method)] for method in METHODS if _of(rows, method)]
    each = [
        [row.subject.replace("_", " "), row.method, *(row.scores.get(key) for key in COLUMNS)]
        for name in CONCEPTS
        for row in rows
        if row.subject == name
    ]
    columns = tuple(COLUMNS.values())
    return [
        Table(PART, "Weaving into radiographs", NOTE, (Column(""), *columns), lines),
        Table(PART, "Weaving: each", EACH, (Column("concept"), Column(""), *columns), each),
    ]


def weaving_goals(rows: Sequence[Row]) -> list[Goal]:
    """What weaving is held against; the better of the two ways to fuse."""
    best = min((FEATURES, ESTIMATES), key=lambda name: _mean(rows, name, "contrast") or 9e9)
    changed = _mean(rows, best, "outside")
    return [
        at_most("woven regions: contrast off its examples'", _mean(rows, best, "contrast"), 1, ""),
        at_most("the same: seam", _mean(rows, best, "seam"), SEAM),
        at_least("the same: judged on the right side", _mean(rows, best, "judged"), JUDGED),
        at_most("the same: change outside", changed, 0, " grey levels", 0),
        at_most("a concept, trained", _mean(rows, best, "learn"), LEARN, " s", 0),
        at_most("a concept, instantly", _mean(rows, INSTANT, "learn"), INSTANTLY, " s", 1),
    ]


def _of(rows: Sequence[Row], method: str) -> list[Row]:
    return [row for row in rows if row.method == method]


def _mean(rows: Sequence[Row], method: str, key: str) -> float | None:
    values = [row.scores[key] for row in _of(rows, method) if key in row.scores]
    return fmean(values) if values else None


def _means(rows: Sequence[Row], method: str) -> list[float | None]:
    return [_mean(rows, method, key) for key in COLUMNS]
