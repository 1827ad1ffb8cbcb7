"""Tables and goals of an archive: who gives context, and how often."""

from collections.abc import Sequence

from benchmarks.archive import CAPPED, PART
from benchmarks.results import Column, Goal, Table, at_most
from benchmarks.rows import Row
from medgen.tasks.instructing.archive import KNOWN, UNFAIR

NOTE = (
    "500 simulated chests, two studies each of 250 patients; each study takes the three nearest of "
    "other patients, by what the encoders make of its report, or of report and radiograph. Most: "
    "how often the one is taken that is taken most; never: studies that nobody takes. Gini: of how "
    "often they are taken, 0 is all alike. Own: contexts from the target's own patient. With a "
    "cap, no study is taken more than five times."
)
GROUPS_NOTE = (
    "Share of the context that a group gives, over its share of the archive: 1 is as often as "
    "there are such studies. Groups of ten studies and more."
)
COLUMNS = {
    "most": Column("most"),
    "never": Column("never"),
    "inequality": Column("Gini", 3),
    "own": Column("own"),
}


def archive_tables(rows: Sequence[Row]) -> list[Table]:
    """Both tables, empty where nothing was measured."""
    lines = [[_name(row), *(row.scores.get(key) for key in COLUMNS)] for row in rows]
    ratios = tuple(Column(_name(row), 2) for row in rows)
    groups = [
        [
            group.replace("_", " "),
            rows[0].scores[f"n {group}"],
            *(row.scores.get(f"ratio {group}") for row in rows),
        ]
        for group in _groups(rows)
    ]
    return [
        Table(PART, "An archive: what is retrieved", NOTE, (Column(""), *COLUMNS.values()), lines),
        Table(
            PART,
            "An archive: who is retrieved",
            GROUPS_NOTE,
            (Column(""), Column("studies"), *ratios),
            groups,
        ),
    ]


def archive_goals(rows: Sequence[Row]) -> list[Goal]:
    """What retrieval is held against: no leak, and nobody's share far from that of the archive."""
    leaks = max((row.scores["own"] for row in rows), default=None)
    capped = [row for row in rows if row.method == CAPPED]
    far = [_farthest(row) for row in capped]
    words = "retrieval at a cap: farthest group, times as often or as seldom"
    return [
        at_most("contexts of the target's own patient", leaks, 0, digits=0),
        at_most(words, max(far, default=None), UNFAIR),
    ]


def _farthest(row: Row) -> float:
    """How many times as often, or as seldom, a group is retrieved; of the one farthest from 1."""
    ratios = [row.scores[f"ratio {group}"] for group in _groups([row])]
    return max((max(ratio, 1 / ratio if ratio else 9.99) for ratio in ratios), default=1.0)


def _groups(rows: Sequence[Row]) -> list[str]:
    """Groups that are large enough to be judged, in the order of the first row."""
    names = [key.removeprefix("n ") for key in (rows[0].scores if rows else {}) if key[:2] == "n "]
    return [name for name in names if rows[0].scores[f"n {name}"] >= KNOWN]


def _name(row: Row) -> str:
    return f"{row.subject}, {row.method}"
