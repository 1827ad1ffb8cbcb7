"""Evaluate reports: how like those of people they read, and whether they say the same is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medgen import __version__
from medgen.data.manifest import read_manifest, values_of
from medgen.errors import InputError
from medgen.metrics.bootstrap import interval
from medgen.metrics.finding_scores import finding_scores
from medgen.metrics.phrases import load_phrases
from medgen.metrics.text import text_scores
from medgen.tasks.document import to_document
from medgen.tasks.reporting.marks import unmarked
from medgen.tasks.studies import read_report, report_in

DEFINITION = (
    "corpus BLEU without smoothing, ROUGE-L F, METEOR of equal words and stems, CIDEr-D; lower "
    "case, punctuation apart (for ROUGE left out); findings are read by rules, and what is "
    "uncertain is not there"
)


@dataclass(frozen=True)
class ReportEvaluation:
    """What was compared, and the figures.

    Attributes:
        medgen: Version that computed them.
        definition: What they are, in words; they mean nothing without it.
        reports: How many.
        scores: By name.
        findings: F1 by finding.
        f1_low: Lower end of the 95 % interval of the reports' mean F1, by bootstrap over reports.
        f1_high: Its upper end.
        without_prediction: Studies that have a true report only; they are in no figure.
    """

    medgen: str
    definition: str
    reports: int
    scores: dict[str, float]
    findings: dict[str, float]
    f1_low: float
    f1_high: float
    without_prediction: tuple[str, ...]

    def to_json(self) -> str:
        """One document; null for what does not apply."""
        return to_document(self)


def evaluate_reports(
    pred: Path, truth: Path, extra_phrases: Sequence[Path] = ()
) -> ReportEvaluation:
    """Compare reports with those of people; what medgen writes below its own is left out.

    Args:
        pred: What was written: a folder of `.txt`, one such file, a manifest, or JSON Lines of
            `{"id": …, "text": …}`.
        truth: What people wrote, likewise; paired by the names of files or by ids.
        extra_phrases: More words of findings.

    Raises:
        InputError: If one cannot be read, nothing belongs together, or something was written that
            there is no truth for.
        UsageError: If the libraries of the metrics are missing.
    """
    written, true = read_reports(pred), read_reports(truth)
    if len(written) == len(true) == 1 and pred.is_file() and truth.is_file():
        true = dict(zip(written, true.values(), strict=True))  # two files are a pair
    both = [name for name in true if name in written]
    if not both:
        raise InputError(f"{pred} and {truth}: no report of one has the name of one of the other")
    if alone := [name for name in written if name not in true]:
        raise InputError(f"{pred}: {alone[0]} has no truth in {truth}; give both the same name")
    phrases = load_phrases(tuple(extra_phrases))
    pairs = ([written[name] for name in both], [true[name] for name in both])
    found = finding_scores(*pairs, phrases)
    each = [finding_scores([one], [two], phrases).f1 for one, two in zip(*pairs, strict=True)]
    spread = interval(each)  # reports in which nothing is there have no F1
    return ReportEvaluation(
        __version__,
        DEFINITION,
        len(both),
        text_scores(*pairs) | found.as_scores(),
        found.by_name,
        spread.low,
        spread.high,
        tuple(name for name in true if name not in written),
    )


def read_reports(path: Path) -> dict[str, str]:
    """Reports by name.

    Raises:
        InputError: If there are none, or one cannot be read.
    """
    if path.is_dir():
        found = {file.stem: report_in(file) for file in sorted(path.glob("*.txt"))}
    elif path.suffix == ".jsonl":
        found = _of_lines(path)
    else:
        found = {path.stem: report_in(path)}
    if not found:
        raise InputError(f"{path}: has no reports; name a folder of .txt, a manifest or JSON Lines")
    return {name: unmarked(text) for name, text in found.items()}


def _of_lines(path: Path) -> dict[str, str]:
    """A manifest with reports, or lines that hold them."""
    rows = list(values_of(path))
    if rows and isinstance(rows[0][1], dict) and "patient" in rows[0][1]:
        texts = {study.id: read_report(study) for study in read_manifest(path, allow_outside=True)}
        return {name: text for name, text in texts.items() if text}
    found: dict[str, str] = {}
    for number, row in rows:
        if not isinstance(row, dict) or "id" not in row or not isinstance(row.get("text"), str):
            raise InputError(f'{path}:{number}: is not {{"id": …, "text": …}}')
        name, text = str(row["id"]), row["text"]
        if name in found:
            raise InputError(f"{path}:{number}: {name} has a report already; leave one out")
        found[name] = text
    return found
