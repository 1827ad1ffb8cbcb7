"""Tables and goals of reports: findings, words, several images, calibration, inventions, time."""

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
from benchmarks.reporting_more import (
    BOTH,
    BY_IMAGES,
    BY_VIEWS,
    CT,
    IMAGES,
    MORE_IMAGES,
    PRIOR,
    PRIORS,
    SIDES,
    VIEWS,
)
from benchmarks.results import Column, Goal, Table, at_least, at_most, below_zero
from benchmarks.rows import Row, Scores, scores_in

NOTE = (
    "Radiographs of 100 held-out chests, whose true reports are in words that no training saw: "
    "BLEU and its like say how unlike those words the reports are, and stand beside no published "
    "figure. Findings are read from the reports by rules. Last line: `tokens` on 200 chests that "
    "nothing was trained on, in the words of training."
)
EACH_NOTE = "The same, finding by finding: F1."
MORE_NOTE = (
    "Reports by `tokens`, findings as above. The first three lines: those 100 held-out chests; "
    "the next three: these and 150 made alike; the last two: held-out chests of patients who "
    "stand, seen from the side as well. Mistakes are findings invented or missed; how many more a "
    "study has than with one radiograph from the front, with the 95 % interval over studies."
)
PRIOR_NOTE = (
    "100 patients who come twice, nothing trained on them. The prior is the first radiograph, or "
    "its true report. Of findings that are there and told, the share that is rightly called new, "
    "unchanged or larger; of those that are gone, the share told so; with the study as its own "
    "prior, the share called unchanged; and the share of studies whose table is otherwise the same "
    "as without a prior."
)
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
FOUND = {key: WORDS[key] for key in list(WORDS)[:4]}
METHODS = (TOKENS, LATENT, NEAREST, COMMONEST, R2GEN)
F1, CT_F1, SIDE, INVENTED, COLD, EACH = 0.80, 0.85, 0.95, 0.05, 6.0, 2.0


def reporting_tables(rows: Sequence[Row]) -> list[Table]:
    """Every table, empty where nothing was measured."""
    return [
        _words(rows),
        _each(rows),
        _gains(rows),
        _each_image(rows),
        _prior(rows),
        _listed(rows, "sizes", "Reports of radiographs: sizes", SIZE_NOTE),
        _curve(rows),
        _safe(rows),
        _listed(rows, "speed", "Reports of radiographs: time", SPEED_NOTE),
    ]


def reporting_goals(rows: Sequence[Row]) -> list[Goal]:
    """What reports are held against."""
    ours, speed = scores_in(rows, "held-out", TOKENS), scores_in(rows, "speed", TOKENS)
    volume, both = scores_in(rows, IMAGES, CT), scores_in(rows, MORE_IMAGES, BOTH)
    views, prior = scores_in(rows, SIDES, VIEWS), scores_in(rows, PRIOR, "a report")
    invented = scores_in(rows, "normals", TOKENS).get("present")
    return [
        at_least("reports of radiographs: finding F1", ours.get("findings-f1"), F1),
        at_least("the same: side", ours.get("findings-side-accuracy"), SIDE),
        at_least("reports of CTs: finding F1", volume.get("findings-f1"), CT_F1),
        at_least("reports of CTs: side", volume.get("findings-side-accuracy"), SIDE),
        _fewer("CT and radiograph: mistakes a study more than the radiograph's", both),
        _fewer("two views: mistakes a study more than one view's", views),
        at_least("beside a prior: shows the same", prior.get("shows the same"), 1.0),
        at_most("normal studies with a positive finding", invented, INVENTED, digits=3),
        at_most("report of a radiograph, cold start", speed.get("cold"), COLD, " s", 1),
        at_most("each further report", speed.get("each"), EACH, " s", 1),
    ]


def _fewer(what: str, scores: Scores) -> Goal:
    return below_zero(f"{what}, upper end", scores.get("high"))


def _words(rows: Sequence[Row]) -> Table:
    found = [(method, scores_in(rows, "held-out", method)) for method in METHODS]
    found.append(("tokens, in words of training", scores_in(rows, "words of training", TOKENS)))
    lines = [[name, *(scores.get(key) for key in WORDS)] for name, scores in found if scores]
    columns = (Column(""), *WORDS.values())
    return Table(PART, "Reports of radiographs", NOTE, columns, lines)


def _gains(rows: Sequence[Row]) -> Table:
    """A line for each set of images: findings, and how many more mistakes than one radiograph."""
    lines: list[list[object]] = []
    for subject, methods in ((IMAGES, BY_IMAGES), (MORE_IMAGES, BY_IMAGES), (SIDES, BY_VIEWS)):
        for method in methods:
            if scores := scores_in(rows, subject, method):
                more, low, high = (scores[key] for key in ("mistakes more", "low", "high"))
                said = f"{more:+.2f} [{low:+.2f}, {high:+.2f}]"
                lines.append([method, *(scores.get(key) for key in FOUND), said, scores["n"]])
    columns = (Column("told"), *FOUND.values(), Column("mistakes a study more"), Column("n"))
    return Table(PART, "Reports of more than a radiograph", MORE_NOTE, columns, lines)


def _each_image(rows: Sequence[Row]) -> Table:
    scores = {name: scores_in(rows, IMAGES, name) for name in BY_IMAGES}
    scores |= {name: scores_in(rows, SIDES, name) for name in BY_VIEWS}
    return _by_finding("Reports of more than a radiograph: each finding", scores)


def _prior(rows: Sequence[Row]) -> Table:
    found = {name: scores_in(rows, PRIOR, name) for name in PRIORS}
    known = {name: scores for name, scores in found.items() if scores}
    names = next(iter(known.values()), {})
    columns = (Column(""), *(Column(f"prior: {name}", 3) for name in known))
    lines: list[list[object]] = [[name, *(s[name] for s in known.values())] for name in names]
    return Table(PART, "Reports beside a prior", PRIOR_NOTE, columns, lines)


def _each(rows: Sequence[Row]) -> Table:
    scores = {method: scores_in(rows, "held-out", method) for method in METHODS}
    return _by_finding("Reports of radiographs: each finding", scores)


def _by_finding(title: str, scores: Mapping[str, Scores]) -> Table:
    names = sorted({key for each in scores.values() for key in each if key.startswith("f1 ")})
    columns = (Column("finding"), *(Column(method, 2) for method in scores))
    lines: list[list[object]] = [
        [name.removeprefix("f1 ").replace("_", " "), *(one.get(name) for one in scores.values())]
        for name in names
    ]
    return Table(PART, title, EACH_NOTE, columns, lines)


def _curve(rows: Sequence[Row]) -> Table:
    scores = scores_in(rows, "curve", TOKENS)
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
        for name, value in scores_in(rows, subject, TOKENS).items()
    ]
    columns = (Column(""), Column("value", 3))
    return Table(PART, "Reports of radiographs: what is invented", SAFE_NOTE, columns, lines)


def _listed(rows: Sequence[Row], subject: str, title: str, note: str) -> Table:
    lines: list[list[object]] = [[*one] for one in scores_in(rows, subject, TOKENS).items()]
    return Table(PART, title, note, (Column(""), Column("value", 2)), lines)
