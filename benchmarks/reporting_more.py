"""What reports gain by more than one radiograph: a CT, a view from the side, an earlier study.

Three sets of chests that nothing was trained on: the held-out ones and others with their CT, others
seen from the front and from the side, and patients who come twice (`benchmarks.report_baseline`
makes all but the first). Each is reported with and without; what differs is compared patient by
patient.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from benchmarks.report_baseline import FOLLOW_UPS, LATERALS, VOLUMES
from benchmarks.reporting_sets import Sets
from medgen.data.manifest import read_manifest
from medgen.data.study import Study
from medgen.finding import Course, Presence
from medgen.io import files
from medgen.metrics.bootstrap import paired_interval
from medgen.metrics.finding_scores import finding_scores
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import load_phrases
from medgen.modality import Kind, Modality
from medgen.tasks.batch import MANIFEST
from medgen.tasks.facts import FACTS, Fact, claims_in, read_facts
from medgen.tasks.phantom import FOLLOW_UP
from medgen.tasks.report import facts_of_images, report
from medgen.tasks.reporting.images import with_kinds
from medgen.tasks.reporting.table import Row, compared
from medgen.tasks.studies import read_report

RADIOGRAPH, CT, BOTH = "radiograph", "CT", "radiograph and CT"
FRONT, VIEWS = "from the front", "from the front and the side"
ALONE = ("xray",)
IMAGES, MORE_IMAGES, SIDES = "images", "images of more chests", "views"  # subjects
BY_IMAGES = {RADIOGRAPH: ALONE, CT: ("ct",), BOTH: ("xray", "ct")}
BY_VIEWS = {FRONT: ALONE, VIEWS: ("xray", "xray:lateral")}
PRIOR = "prior"
Scores = dict[str, float]
Say = Callable[[tuple[tuple[Kind, Path], ...]], str]
Earlier = Callable[[Sets, Study], list[Fact]]


def more(sets: Sets) -> dict[tuple[str, str], Callable[[], Scores]]:
    """What can be measured of a model and the studies at hand, by subject and method."""
    makers: dict[tuple[str, str], Callable[[], Scores]] = {}

    @cache
    def say(given: tuple[tuple[Kind, Path], ...]) -> str:
        kinds, paths = zip(*given, strict=True)
        return report(with_kinds(list(map(files.read, paths)), kinds), sets.config).prose.text

    if Modality.CT in sets.reads:
        chests = {IMAGES: sets.held_out}
        if (sets.studies / VOLUMES / MANIFEST).exists():
            others = read_manifest(sets.studies / VOLUMES / MANIFEST)
            chests[MORE_IMAGES] = [*sets.held_out, *others]
        makers |= {
            (subject, name): partial(_compared, say, studies, kinds)
            for subject, studies in chests.items()
            for name, kinds in BY_IMAGES.items()
        }
    if "xray:lateral" in sets.reads and (sets.studies / LATERALS / MANIFEST).exists():
        seen = [one for one in read_manifest(sets.studies / LATERALS / MANIFEST) if one.laterals]
        makers |= {
            (SIDES, name): partial(_compared, say, seen, kinds) for name, kinds in BY_VIEWS.items()
        }
    if (sets.studies / FOLLOW_UPS / MANIFEST).exists():
        makers |= {(PRIOR, name): partial(_after, sets, one) for name, one in PRIORS.items()}
    return makers


def _compared(say: Say, studies: Sequence[Study], words: Sequence[str]) -> Scores:
    """Findings of reports of some images, and mistakes a study less those with one radiograph."""
    phrases = load_phrases()
    truth = [read_report(study) or "" for study in studies]
    written, plain = ([say(_given(study, kinds)) for study in studies] for kinds in (words, ALONE))
    found = finding_scores(written, truth, phrases)

    def mistakes(texts: Sequence[str]) -> list[float]:
        each = (finding_scores([a], [b], phrases) for a, b in zip(texts, truth, strict=True))
        return [float(one.invented + one.missed) for one in each]

    off = paired_interval(mistakes(written), mistakes(plain))
    each = {f"f1 {name}": value for name, value in found.by_name.items()}
    less = {"mistakes more": off.mean, "low": off.low, "high": off.high}
    return found.as_scores() | less | each | {"n": float(len(truth))}


def _given(study: Study, words: Sequence[str]) -> tuple[tuple[Kind, Path], ...]:
    kinds = map(Kind.parse, words)
    return tuple((kind, study.images[kind]) for kind in kinds)


def _after(sets: Sets, earlier: Earlier) -> Scores:
    """What a prior changes in the table of each second study.

    Args:
        sets: With the studies of patients who come twice.
        earlier: What an earlier study is said to have shown.

    Returns:
        Of findings that are there at the second date and told: the share whose course is right. Of
        those that are gone: the share told so. Where a study is its own prior: the share called
        unchanged. And the share of studies that show the same with a prior as without.
    """
    studies = {study.id: study for study in read_manifest(sets.studies / FOLLOW_UPS / MANIFEST)}
    pairs = [(studies[name.removesuffix(FOLLOW_UP)], studies[name]) for name in studies]
    right: list[bool] = []
    gone: list[bool] = []
    still: list[bool] = []
    same: list[bool] = []
    for first, second in ((one, other) for one, other in pairs if one is not other):
        rows = sets.rows(second.of(Modality.XRAY)[0])
        after = compared(rows, earlier(sets, first))
        same.append(_presence(rows) == _presence(after))
        courses = {
            claim: fact.finding.course
            for fact in read_facts(second.of(Modality.XRAY)[0].parent / FACTS)
            for claim in claims_in(fact.finding)
        }
        for row in after:
            course, said = courses.get(row.claim), row.finding
            if course is Course.GONE:
                gone.append(said.course is course)
            elif course is not None and said.presence is Presence.PRESENT:
                right.append(said.course is course)
        itself = [row.finding for row in compared(rows, earlier(sets, second))]
        told = [one for one in itself if one.presence is Presence.PRESENT]
        still += [one.course is Course.UNCHANGED for one in told]
    return {
        "course right": float(np.mean(right)),
        "courses": float(len(right)),
        "gone and told": float(np.mean(gone)),
        "gone": float(len(gone)),
        "its own prior: unchanged": float(np.mean(still)),
        "shows the same": float(np.mean(same)),
        "n": float(len(same)),
    }


def _presence(rows: Sequence[Row]) -> list[tuple[str, Presence, float]]:
    return [(row.claim, row.finding.presence, row.score) for row in rows]


def _seen(sets: Sets, study: Study) -> list[Fact]:
    images = with_kinds([files.read(study.of(Modality.XRAY)[0])], [None])
    return facts_of_images(images, sets.config)


def _said(sets: Sets, study: Study) -> list[Fact]:
    found = read_findings(read_report(study) or "", load_phrases())
    return [Fact(one, one.size_mm) for one in found]


PRIORS: dict[str, Earlier] = {"a radiograph": _seen, "a report": _said}
