"""Tables and goals of reports: findings and words, sizes, calibration, what is invented, time."""

from collections.abc import Mapping, Sequence

from benchmarks.reporting import (
    BINS,
    COMMONEST,
    LATENT,
    NEAREST,
    PART,
    R2GEN,
    TOKENS,
)
from benchmarks.results import Column, Goal, Table, at_least, at_most
from benchmarks.rows import Row

NOTE = (
    "Radiographs of 100 held-out chests, whose true reports are in words that no training saw: "
    "BLEU and its like say how unlike those words the reports are, and stand beside no published "
    "figure. Findings are read from the reports by rules. Last line: `tokens` on 200 chests that "
    "nothing was trained on, in the words of training."
)
EACH_NOTE = "The same, finding by finding: F1."
SIZE_NOTE = (
    "Of findings that are there and told, on those 300 chests: median error of the size, as a "
    "share of the true one, too; share of right severities and regions."
)
CURVE_NOTE = (
    "All claims of those 300 chests in ten bins of the probability that the table says, and the "
    "share of each bin that is true; the last line is the expected calibration error."
)
SAFE_NOTE = (
    "Simulated chests without any finding, at the default operating point; and 243 radiographs of "
    "patients (CC BY 3.0, Hannover Medical School COVID-19 image repository), on which nothing "
    "was trained and of which nobody knows the truth here: share that looks unlike those of "
    "training, and what they are told under `--force`. Real radiographs are not what this model "
    "learned from; believe none of it."
)
SPEED_NOTE = "`medgen report` on the CPU: median of three cold starts, and each further radiograph."
WORDS = {
    "findings-f1": Column("finding F1", 3),
    "findings-precision": Column("precision", 3),
    "findings-recall": Column("recall", 3),
    "findings-side-accuracy": Column("side", 3),
    "bleu-1": Column("BLEU-1", 3),
    "bleu-4": Column("BLEU-4", 3),
    "rouge-l": Column("ROUGE-L", 3),
    "meteor": Column("METEOR", 3),
    "cider-d": Column("CIDEr-D", 3),
    "n": Column("n"),
}
METHODS = (TOKENS, LATENT, NEAREST, COMMONEST, R2GEN)
F1, SIDE, INVENTED, COLD, EACH = 0.80, 0.95, 0.05, 6.0, 2.0
Scores = Mapping[str, float]


def reporting_tables(rows: Sequence[Row]) -> list[Table]:
    """Every table, empty where nothing was measured."""
    return [
        _words(rows),
        _each(rows),
        _listed(rows, "sizes", "Reports of radiographs: sizes", SIZE_NOTE),
        _curve(rows),
        _safe(rows),
        _listed(rows, "speed", "Reports of radiographs: time", SPEED_NOTE),
    ]


def reporting_goals(rows: Sequence[Row]) -> list[Goal]:
    """What reports are held against."""
    ours, speed = _of(rows, "held-out", TOKENS), _of(rows, "speed", TOKENS)
    invented = _of(rows, "normals", TOKENS).get("present")
    return [
        at_least("reports of radiographs: finding F1", ours.get("findings-f1"), F1),
        at_least("the same: side", ours.get("findings-side-accuracy"), SIDE),
        at_most("normal studies with a positive finding", invented, INVENTED, digits=3),
        at_most("report of a radiograph, cold start", speed.get("cold"), COLD, " s", 1),
        at_most("each further report", speed.get("each"), EACH, " s", 1),
    ]


def _of(rows: Sequence[Row], subject: str, method: str) -> Scores:
    return next((r.scores for r in rows if (r.subject, r.method) == (subject, method)), {})


def _words(rows: Sequence[Row]) -> Table:
    found = [(method, _of(rows, "held-out", method)) for method in METHODS]
    found.append(("tokens, in words of training", _of(rows, "words of training", TOKENS)))
    lines = [[name, *(scores.get(key) for key in WORDS)] for name, scores in found if scores]
    columns = (Column(""), *WORDS.values())
    return Table(PART, "Reports of radiographs", NOTE, columns, lines)


def _each(rows: Sequence[Row]) -> Table:
    scores = {method: _of(rows, "held-out", method) for method in METHODS}
    names = sorted({key for each in scores.values() for key in each if key.startswith("f1 ")})
    columns = (Column("finding"), *(Column(method, 2) for method in METHODS))
    lines = [
        [name.removeprefix("f1 ").replace("_", " "), *(scores[m].get(name) for m in METHODS)]
        for name in names
    ]
    return Table(PART, "Reports of radiographs: each finding", EACH_NOTE, columns, lines)


def _curve(rows: Sequence[Row]) -> Table:
    scores = _of(rows, "curve", TOKENS)
    lines: list[list[object]] = [
        [f"{number / BINS:g} to {(number + 1) / BINS:g}"]
        + [scores[f"{number} {what}"] for what in ("said", "true", "n")]
        for number in range(BINS)
        if f"{number} n" in scores
    ]
    if scores:
        lines.append(["error", scores["calibration error"], None, None])
    columns = (Column("probability"), Column("said", 3), Column("true", 3), Column("n"))
    return Table(PART, "Reports of radiographs: calibration", CURVE_NOTE, columns, lines)


def _safe(rows: Sequence[Row]) -> Table:
    lines: list[list[object]] = [
        [f"{subject}: {name}", value]
        for subject in ("normals", "patients")
        for name, value in _of(rows, subject, TOKENS).items()
    ]
    columns = (Column(""), Column("value", 3))
    return Table(PART, "Reports of radiographs: what is invented", SAFE_NOTE, columns, lines)


def _listed(rows: Sequence[Row], subject: str, title: str, note: str) -> Table:
    lines: list[list[object]] = [[*one] for one in _of(rows, subject, TOKENS).items()]
    return Table(PART, title, note, (Column(""), Column("value", 2)), lines)
