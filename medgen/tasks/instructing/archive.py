"""An archive in the aligned space: who is near whom, and whom that leaves out."""

import json
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from medgen.data.study import Study
from medgen.errors import InputError, MedgenError
from medgen.finding import Presence
from medgen.instruct.retrieval import Neighbours, Share, inequality, shares
from medgen.io.atomic import atomic_file
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import load_phrases
from medgen.modality import Modality
from medgen.tasks.aligning.model import LoadedAligner
from medgen.tasks.aligning.retrieval import embed
from medgen.tasks.facts import FACTS
from medgen.tasks.studies import IMAGES, read_report, read_studies

LOG = logging.getLogger(__name__)
REPORT = "retrieval.json"  # in the run's folder
FEW = 100  # studies; an archive with fewer is told that its neighbours are not near
KNOWN = 10  # studies of a group, at least, before its share is warned of
UNFAIR = 1.5  # times as often, or as seldom, as there are such studies
AGE_GROUP_YEARS = 20  # years of an age group


@dataclass(frozen=True)
class Placed:
    """Studies in the aligned space.

    Attributes:
        ids: Of the studies that have a place.
        vectors: Unit length: where the report and the image of each lie, on average.
    """

    ids: tuple[str, ...]
    vectors: Float[np.ndarray, "studies width"]


def placed(
    studies: Sequence[Study],
    encoders: LoadedAligner,
    modality: Modality,
    *,
    max_bad: float,
    cache: Path | None,
) -> Placed:
    """Embed reports and images of a modality.

    Raises:
        InputError: If no study has either, or too many cannot be read.
    """
    known = [modality] if modality in IMAGES and modality in encoders.aligner.encoders else []
    read = read_studies(
        studies,
        encoders.standard,
        load_phrases(),
        modalities=known,
        max_bad=max_bad,
        cache=cache,
        least=1,
    )
    found = embed(encoders, read)
    both = np.stack([found.vectors[Modality.TEXT], found.vectors[modality]])
    has = ~np.isnan(both[..., 0])
    there = has.any(0)
    if not there.any():
        raise InputError("no study has a report or an image that an encoder knows")
    mean = np.where(has[..., None], both, 0)[:, there].sum(0)
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    ids = tuple(np.array(found.ids)[there].tolist())
    return Placed(ids, (mean / np.maximum(length, 1e-12)).astype(np.float32))


@dataclass(frozen=True)
class ArchiveReport:
    """Who is retrieved how often.

    Attributes:
        studies: In the archive.
        patients: Whose they are.
        max_reuse: How often a study may be taken; None for no cap.
        most: How often the one is taken that is taken most.
        never: Studies that are never taken.
        inequality: Gini's coefficient of how often they are taken.
        by: Shares by sex, age and finding, of the studies of which they are known.
        warnings: What a person should look at.
    """

    studies: int
    patients: int
    max_reuse: int | None
    most: int
    never: int
    inequality: float
    by: dict[str, dict[str, Share]]
    warnings: tuple[str, ...]


def archive_report(
    studies: Sequence[Study], found: Neighbours, max_reuse: int | None
) -> ArchiveReport:
    """Measure who is retrieved how often; what should be looked at is said aloud, too.

    Args:
        studies: The archive, in the order of the neighbours.
        found: Their neighbours.
        max_reuse: The cap that was kept.
    """
    facts = [_facts(study) for study in studies]
    by = {
        "sex": shares([_word(one.get("sex")) for one in facts], found.taken),
        "age": shares([_age_group(one.get("age_years")) for one in facts], found.taken),
        "finding": _by_finding(studies, facts, found),
    }
    warnings = [
        f"{what} {name}: is retrieved {share.ratio:.2f} times as often as it is in the archive; "
        "--max-reuse spreads it"
        for what, groups in by.items()
        for name, share in groups.items()
        if share.studies >= KNOWN and not 1 / UNFAIR <= share.ratio <= UNFAIR
    ]
    if len(studies) < FEW:
        warnings.insert(0, f"{len(studies)} studies are few: the nearest are not near")
    for warning in warnings:
        LOG.warning("%s", warning)
    return ArchiveReport(
        len(studies),
        len({study.patient for study in studies}),
        max_reuse,
        int(found.taken.max()),
        int((found.taken == 0).sum()),
        inequality(found.taken),
        by,
        tuple(warnings),
    )


def write_archive_report(report: ArchiveReport, folder: Path) -> None:
    """Write `retrieval.json` into a run's folder; it names no study."""
    with atomic_file(folder / REPORT, overwrite=True) as draft:
        draft.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")


def _facts(study: Study) -> Mapping[str, Any]:
    """What lies beside a study of its patient; nothing where nobody says."""
    for path in study.files:
        try:
            values = json.loads((path.parent / FACTS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return values if isinstance(values, dict) else {}
    return {}


def _word(said: object) -> str | None:
    return said if isinstance(said, str) else None


def _age_group(years: object) -> str | None:
    """The group of an age.

    Example:
        >>> _age_group(57)
        '40 to 59 years'
    """
    if not isinstance(years, int | float) or not 0 <= years < math.inf:
        return None
    first = int(years) // AGE_GROUP_YEARS * AGE_GROUP_YEARS
    return f"{first} to {first + AGE_GROUP_YEARS - 1} years"


def _by_finding(
    studies: Sequence[Study], facts: Sequence[Mapping[str, Any]], found: Neighbours
) -> dict[str, Share]:
    """The share of each finding among all studies whose findings are known."""
    phrases = load_phrases()
    said: list[set[str] | None] = []
    for study, one in zip(studies, facts, strict=True):
        try:
            text = read_report(study)
        except MedgenError:
            text = None
        known = one.get("findings")
        listed = [
            str(item["name"])
            for item in (known if isinstance(known, list) else [])
            if isinstance(item, dict)
            and "name" in item
            and item.get("presence") == Presence.PRESENT
        ]
        if text is not None:
            listed = [
                f.name for f in read_findings(text, phrases) if f.presence is Presence.PRESENT
            ]
        said.append(set(listed) if text is not None or isinstance(known, list) else None)
    names = Counter(name for each in said if each for name in each)
    found_shares = {}
    for name in sorted(names):
        groups = [
            None if each is None else ("with" if name in each else "without") for each in said
        ]
        found_shares[name] = shares(groups, found.taken)["with"]
    return found_shares
