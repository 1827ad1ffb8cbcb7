"""From rows to tables: means over patients, their spread, and differences patient by patient."""

import math
from collections.abc import Sequence

from benchmarks.methods import CONSTANT, COPY, DIFFUSE, MEAN, REGRESS, UNET
from benchmarks.results import Column, Table, cell
from benchmarks.rows import Row
from medgen.metrics.bootstrap import interval, paired_interval

METHODS = (REGRESS, DIFFUSE, CONSTANT, UNET, MEAN, COPY)
NAMES = {
    REGRESS: "medgen `regress`",
    DIFFUSE: "medgen `diffuse`",
    CONSTANT: "constant, 40 HU",
    UNET: "plain U-Net, L1",
    MEAN: "constant, the truth's mean",
    COPY: "the source itself",
}
CT_FIGURES = (
    ("mae", Column("MAE, HU")),
    ("psnr", Column("PSNR, dB", 1)),
    ("ms_ssim", Column("MS-SSIM", 3)),
    ("mae_air", Column("air", is_plain=True)),
    ("mae_soft", Column("soft", is_plain=True)),
    ("mae_bone", Column("bone", is_plain=True)),
    ("dice_bone", Column("bone Dice", 2, is_plain=True)),
)
FIGURES = {"mae": "MAE, HU", "mae_edge_as_air": "MAE, HU"}
SPREAD = (
    "Mean ± SD over patients, [95 % bootstrap interval over patients]; MAE of air, soft tissue and "
    "bone by what the truth is."
)


def values(rows: Sequence[Row], method: str, figure: str, subjects: Sequence[str]) -> list[float]:
    """A figure of every subject, in their order; NaN where it was not measured.

    Several rows of a subject, such as contrasts of one head, count as their mean.
    """
    found = []
    for subject in subjects:
        own = [
            row.scores[figure]
            for row in rows
            if row.method == method and row.subject == subject and figure in row.scores
        ]
        known = [value for value in own if not math.isnan(value)]
        found.append(math.fsum(known) / len(known) if known else math.nan)
    return found


def mean(rows: Sequence[Row], method: str, figure: str) -> float | None:
    """The mean over subjects; None if nothing was measured."""
    found = interval(values(rows, method, figure, subjects_of(rows))).mean
    return None if math.isnan(found) else found


def subjects_of(rows: Sequence[Row]) -> list[str]:
    """Whom the rows are about, in order."""
    return sorted({row.subject for row in rows})


def is_real(row: Row) -> bool:
    """Whether the row is about a patient of the sarcoma collection."""
    return row.subject.startswith("STS")


def methods_of(rows: Sequence[Row]) -> list[str]:
    """Who was measured, medgen first."""
    return [method for method in METHODS if any(row.method == method for row in rows)]


_OTHERS = {CONSTANT: "constant's", UNET: "U-Net's"}


def ct_table(
    rows: Sequence[Row], part: str, title: str, note: str, others: Sequence[str] = (CONSTANT,)
) -> Table:
    """Every method's figures for CT, and its MAE beside that of others."""
    subjects, methods = subjects_of(rows), methods_of(rows)
    columns = (
        Column(""),
        *(column for _, column in CT_FIGURES),
        *(Column(f"MAE less {_OTHERS[other]}") for other in others),
    )
    lines = []
    for method in methods:
        figures = [cell(interval(values(rows, method, f, subjects))) for f, _ in CT_FIGURES]
        differences = [
            None
            if other == method or other not in methods
            else cell(
                paired_interval(
                    values(rows, method, "mae", subjects), values(rows, other, "mae", subjects)
                )
            )
            for other in others
        ]
        lines.append([NAMES[method], *figures, *differences])
    return Table(part, title, f"{note} {SPREAD}", columns, lines)


def patients_table(rows: Sequence[Row], part: str, title: str, figure: str, note: str) -> Table:
    """One figure of every patient and method."""
    subjects = subjects_of(rows)
    columns = (Column(FIGURES[figure]), *(Column(subject) for subject in subjects), Column("mean"))
    lines: list[list[object]] = []
    for method in methods_of(rows):
        own = values(rows, method, figure, subjects)
        lines.append([NAMES[method], *own, interval(own).mean])
    return Table(part, title, note, columns, lines)


def heads_table(rows: Sequence[Row], part: str, title: str, note: str) -> Table:
    """Bone and error of the held-out heads, by contrast and method."""
    subjects = subjects_of(rows)
    columns = (
        *(Column("from"), Column("")),
        *(Column(f"Dice, {subject}", 3) for subject in subjects),
        Column("bone Dice", 3),
        *(Column(f"MAE, {subject}") for subject in subjects),
        *(Column("MAE, HU"), Column("bone MAE"), Column("PSNR, dB", 1), Column("MS-SSIM", 3)),
    )
    lines: list[list[object]] = []
    for source in _ordered({row.source for row in rows}):
        own = [row for row in rows if row.source == source]
        for method in methods_of(own):
            dice, error = (values(own, method, f, subjects) for f in ("dice_bone", "mae"))
            rest = [mean(own, method, figure) for figure in ("mae_bone", "psnr", "ms_ssim")]
            means = [mean(own, method, figure) for figure in ("dice_bone", "mae")]
            lines.append([source, NAMES[method], *dice, means[0], *error, means[1], *rest])
    return Table(part, title, note, columns, lines)


def mri_table(rows: Sequence[Row], note: str) -> Table:
    """PSNR and SSIM of synthetic MRIs, medgen beside two baselines."""
    columns = (
        *(Column("truth"), Column("from"), Column("to"), Column("")),
        *(Column("PSNR, dB", 1), Column("SSIM", 3)),
    )
    lines: list[list[object]] = []
    for real in (True, False):
        group = [row for row in rows if is_real(row) == real]
        for source in _ordered({row.source for row in group}):
            for target in _ordered({row.target for row in group if row.source == source}):
                own = [r for r in group if (r.source, r.target) == (source, target)]
                subjects, where = subjects_of(own), "real" if real else "simulated"
                for method in methods_of(own):
                    cells = [
                        cell(interval(values(own, method, figure, subjects)))
                        for figure in ("psnr", "ssim")
                    ]
                    lines.append([where, source, target, NAMES[method], *cells])
    return Table("mri", "CT to MRI, MRI to MRI", note, columns, lines)


def sigma_table(rows: Sequence[Row], note: str) -> Table:
    """Coverage of every case whose sigma was measured."""
    columns = (
        *(Column("patient"), Column("from")),
        *(Column("share within 2 sigma", 3), Column("mean sigma, HU"), Column("MAE, HU")),
    )
    lines: list[list[object]] = [
        [r.subject, r.source, *(r.scores[name] for name in ("coverage", "sigma", "mae"))]
        for r in rows
    ]
    return Table("sigma", "Sigma of `diffuse`", note, columns, lines)


def simple_table(
    rows: Sequence[Row], part: str, title: str, note: str, figures: Sequence[tuple[str, Column]]
) -> Table:
    """One line a row: its subject and some figures."""
    columns = (Column(""), *(column for _, column in figures))
    lines: list[list[object]] = [
        [row.subject, *(row.scores.get(figure) for figure, _ in figures)] for row in rows
    ]
    return Table(part, title, note, columns, lines)


def _ordered(words: set[str]) -> list[str]:
    """CT first, then the contrasts as people say them."""
    order = ["ct", "mri:t1", "mri:t2", "mri:flair", "mri:pd"]
    return sorted(words, key=order.index)
