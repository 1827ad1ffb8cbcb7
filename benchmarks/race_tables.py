"""The race from nothing: how long both trained, and how far each came."""

from collections.abc import Sequence

from benchmarks.methods import CONSTANT, REGRESS, UNET
from benchmarks.results import Column, Goal, Table, below_zero
from benchmarks.rows import Row
from benchmarks.tables import NAMES, ct_table, heads_table, is_real, subjects_of, values
from medgen.metrics.bootstrap import paired_interval

PART, TRAINING = "race", "training"
RACE = (
    "The translator's network and loss beside a plain MONAI U-Net with L1: both from nothing, on "
    "the same examples of one MRI and its CT, for the same minutes, each on a core of its own "
    "(`benchmarks.race`), the U-Net in bfloat16, in which it is faster. The bundled weights have "
    "learned for longer, and more directions."
)
REAL = "The patients and the mask of the table of real pairs."
HEADS = "The heads and the mask of the table of held-out heads."


def race_tables(rows: Sequence[Row]) -> list[Table]:
    """Training, real pairs, held-out heads."""
    run, real, heads = _parted(rows)
    columns = (Column(""), Column("steps"), Column("minutes", 1))
    lines: list[list[object]] = [
        [NAMES[row.method], row.scores["steps"], row.scores["minutes"]] for row in run
    ]
    return [
        Table(PART, "Race from nothing: training", RACE, columns, lines),
        ct_table(real, PART, "Race from nothing: real pairs", REAL, (CONSTANT, UNET)),
        heads_table(heads, PART, "Race from nothing: held-out heads", HEADS),
    ]


def race_goals(rows: Sequence[Row]) -> list[Goal]:
    """Better than the U-Net, patient by patient."""
    _, real, _ = _parted(rows)
    subjects = subjects_of(real)
    apart = paired_interval(*(values(real, who, "mae", subjects) for who in (REGRESS, UNET)))
    high = apart.high if apart.count > 1 else None
    what = "race from nothing, real pairs: upper end of the interval of MAE less the U-Net's, HU"
    return [below_zero(what, high, digits=1)]


def _parted(rows: Sequence[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    run = [row for row in rows if row.subject == TRAINING]
    cases = [row for row in rows if row.subject != TRAINING]
    real = [row for row in cases if is_real(row)]
    return run, real, [row for row in cases if not is_real(row)]
