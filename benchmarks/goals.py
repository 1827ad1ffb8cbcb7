"""What the figures are held against."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks.archive_tables import archive_goals
from benchmarks.cts import CHESTS, HEADS
from benchmarks.cts_tables import cts_goals
from benchmarks.generation_tables import generation_goals
from benchmarks.instructing_tables import instructing_goals
from benchmarks.methods import CONSTANT, DIFFUSE, REGRESS
from benchmarks.race_tables import race_goals
from benchmarks.reporting_tables import reporting_goals
from benchmarks.results import Goal, at_least, at_most
from benchmarks.retrieval_tables import retrieval_goals
from benchmarks.rows import Row
from benchmarks.scarce_tables import scarce_goals
from benchmarks.segmenting_tables import segmenting_goals
from benchmarks.speed import HELP
from benchmarks.tables import mean
from benchmarks.weaving_tables import weaving_goals
from medgen.modality import Contrast

LESS_THAN_CONSTANT = 0.20
AIMS_HU = (75.0, 60.0)
HEAD_DICE, HEAD_MAE = 0.85, 70.0
COVERAGE = (0.90, 0.98)
REAL_HEADS, CLOSED = ("t1_a", "t1_average", "t1_b"), 0.98
SECONDS_256, PEAK_GB, HELP_SECONDS = 20.0, 4.0, 0.3
CODEC_HU = 0.5


def goals(parts: Mapping[str, Sequence[Row]]) -> list[Goal]:
    """Every goal, in the order of the parts; what was not measured is said to be open."""
    found: dict[str, list[Goal]] = {
        "pairs": _pairs(parts["pairs"]),
        "heads": _heads(parts["heads"]),
        "race": race_goals(parts["race"]),
        "sigma": _sigma(parts["sigma"]),
        "skull": _skull(parts["skull"]),
        "speed": _speed(parts["speed"]),
        "codec": _codec(parts["codec"]),
        "retrieval": retrieval_goals(parts["retrieval"]),
        "generation": generation_goals(parts["generation"]),
        **{each.part: cts_goals(each, parts[each.part]) for each in (CHESTS, HEADS)},
        "reports": reporting_goals(parts["reports"]),
        "weaving": weaving_goals(parts["weaving"]),
        "scarce": scarce_goals(parts["scarce"]),
        "segmenting": segmenting_goals(parts["segmenting"]),
        "instruct": instructing_goals(parts["instruct"], parts["refine"]),
        "archive": archive_goals(parts["archive"]),
    }
    return [replace(goal, part=part) for part, group in found.items() for goal in group]


def _pairs(rows: Sequence[Row]) -> list[Goal]:
    ours, flat = mean(rows, REGRESS, "mae"), mean(rows, CONSTANT, "mae")
    share = 1 - ours / flat if ours is not None and flat else None
    return [
        at_least("real pairs: share that MAE is below the constant's", share, LESS_THAN_CONSTANT),
        *(at_most("real pairs: MAE", ours, aim, " HU", 1) for aim in AIMS_HU),
    ]


def _heads(rows: Sequence[Row]) -> list[Goal]:
    found = []
    for contrast in Contrast:
        own = [row for row in rows if row.source == f"mri:{contrast}"]
        what = f"held-out heads, {contrast.upper()}"
        found += [
            at_least(f"{what}: bone Dice", mean(own, REGRESS, "dice_bone"), HEAD_DICE, digits=3),
            at_most(f"{what}: MAE", mean(own, REGRESS, "mae"), HEAD_MAE, " HU", 1),
        ]
    return found


def _sigma(rows: Sequence[Row]) -> list[Goal]:
    found = []
    for part, words in (("sigma-pairs", "real pairs"), ("sigma-heads", "held-out heads")):
        share = mean([row for row in rows if row.part == part], DIFFUSE, "coverage")
        low, high = COVERAGE
        reached = None if share is None else low <= share <= high
        what = f"{words}: share of voxels within two sigma"
        found.append(Goal(what, f"{low:.2f} to {high:.2f}", share, reached, 3))
    return found


def _speed(rows: Sequence[Row]) -> list[Goal]:
    by = {row.subject: row.scores for row in rows}
    sizes = sorted(int(subject) for subject in by if subject != HELP)
    large = by.get("256", {})
    rates = [by[str(size)]["microseconds_a_voxel"] for size in sizes]
    growth = rates[-1] / rates[0] if len(rates) > 1 else None
    return [
        at_most("head of 256³ voxels, cold start", large.get("seconds"), SECONDS_256, " s", 1),
        at_most("its peak memory", large.get("peak_gb"), PEAK_GB, " GB", 2),
        at_most("time a voxel, largest head over smallest", growth, 1, "", 2),
        at_most("`medgen --help`", by.get(HELP, {}).get("seconds"), HELP_SECONDS, " s", 2),
    ]


def _skull(rows: Sequence[Row]) -> list[Goal]:
    shares = {row.subject: row.scores["closed_share"] for row in rows}
    return [
        at_least(f"closed skull, real head {name}", shares.get(name), CLOSED, digits=4)
        for name in REAL_HEADS
    ]


def _codec(rows: Sequence[Row]) -> list[Goal]:
    return [at_most("codec: largest error", _largest(rows, "largest_hu"), CODEC_HU, " HU", 4)]


def _largest(rows: Sequence[Row], figure: str) -> float | None:
    return max((row.scores[figure] for row in rows), default=None)
