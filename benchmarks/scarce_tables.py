"""Table and goals of classifiers of few studies: how much generated CTs add."""

from collections.abc import Sequence

from benchmarks.results import Column, Goal, Table
from benchmarks.rows import Row
from benchmarks.scarce import ALONE, ARMS, BENT, MADE, MORE, PART

NOTE = (
    "A small classifier of 20 training CTs, half of them with a finding: from these alone; from "
    "these, moved and blurred a little each time; from these and 40 CTs generated of other "
    "training reports; and from these and the 40 studies of those reports, which is the most that "
    "could be gained. All are trained as long, three times each; what they say is averaged. Area "
    "under the ROC curve on 100 held-out studies, and how much larger it is than with augmentation "
    "only, [95 % bootstrap interval over the studies]."
)


def scarce_table(rows: Sequence[Row]) -> Table:
    """A line for each claim."""
    columns = (
        Column("finding"),
        Column("there"),
        Column("studies"),
        *(Column(arm, 2) for arm in ARMS),
        Column("gain by generated ones"),
        Column("gain by more studies"),
    )
    lines: list[list[object]] = []
    for claim in dict.fromkeys(row.subject for row in rows):
        own = {row.method: row.scores for row in rows if row.subject == claim}
        if not own.keys() >= set(ARMS):
            continue
        first = own[ALONE]
        gains = [_gain(own[arm]) for arm in (MADE, MORE)]
        areas = [own[arm]["auc"] for arm in ARMS]
        name = claim.replace("_", " ").replace("-", ", ")
        lines.append([name, first["there"], first["n"], *areas, *gains])
    return Table(PART, "Generated CTs for a classifier of few studies", NOTE, columns, lines)


def scarce_goals(rows: Sequence[Row]) -> list[Goal]:
    """Generated CTs beat none, and augmentation alone, at every finding."""
    areas = {(row.subject, row.method): row.scores["auc"] for row in rows}
    claims = sorted({row.subject for row in rows})
    better = [areas[claim, MADE] > max(areas[claim, ALONE], areas[claim, BENT]) for claim in claims]
    share = sum(better) / len(better) if better else None
    what = "classifier of 20 studies and generated CTs: findings that it tells better"
    return [Goal(what, "all", share, None if share is None else share == 1)]


def _gain(scores: dict[str, float]) -> str:
    return f"{scores['gain']:+.2f} [{scores['gain low']:+.2f}, {scores['gain high']:+.2f}]"
