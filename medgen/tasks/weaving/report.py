"""The report of a woven scan: what was woven is added, and nothing of the old one denies it."""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from medgen.errors import UsageError
from medgen.finding import Finding, Presence, Side
from medgen.io.image import MedicalImage
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import Phrases, load_phrases
from medgen.tasks.flows.prompt import in_words
from medgen.tasks.reporting.prose import plain_sentence

UNSIDED = {"cardiomegaly", "emphysema", "oedema", "enlarged_mediastinum"}
UNSIDED |= {"atrophy", "ventriculomegaly", "midline_shift", "brain_oedema"}
MEASURED = {"nodule", "mass", "brain_mass"}  # reports give their size
ALL_WELL = re.compile(
    r"\b(unremarkable|no acute|no (significant )?abnormal|clear lungs|lungs are clear|"
    r"normal (study|appearances|chest|examination|head|radiograph|ct|mri))",
    re.IGNORECASE,
)
ENDED = re.compile(r"[.!?:]\s*$")  # a line that is a sentence, or a heading alone
STARTS = re.compile(r"\s*(?:[-*\u2022]|\d+[.)]\s|[A-Z][A-Za-z ]*:)")  # an item, or a section
ITEM = re.compile(r"(?:[-*\u2022]|\d+[.)])\s+")  # the mark of an item
HEADINGS = re.compile(r"^(FINDINGS|IMPRESSION)\s*:", re.IGNORECASE)

Region = Bool[np.ndarray, "*space"]


def finding_of(name: str, region: Region, image: MedicalImage) -> Finding:
    """What a reader would say of a woven region.

    Args:
        name: The concept's, as reports have it: `pleural_effusion`.
        region: Where it is, on the scan's voxels.
        image: The scan.

    Raises:
        UsageError: If no phrase file has such a finding.
    """
    known = _meant(name)
    if known is None:
        raise UsageError(f"--report: no report speaks of {name}; learn it as --name nodule, say")
    side = None if known in UNSIDED else _side(region, image)
    is_measured = known in MEASURED and image.spacing_is_known
    return Finding(known, side=side, size_mm=_length(region, image) if is_measured else None)


def has_word(name: str) -> bool:
    """Whether reports speak of what a concept is called."""
    return _meant(name) is not None


def _meant(name: str) -> str | None:
    said = read_findings(f"{name.replace('_', ' ')}.", load_phrases())
    return said[0].name if said else None


def updated(text: str, findings: Sequence[Finding], phrases: Phrases) -> str:
    """A report that says what was woven.

    Sentences that deny it, or say that all is well, are left out; what else such a sentence denies
    is said again in plain words. What was woven is added to findings and impression, or to the end
    of a report without them.
    """
    woven = {one.name for one in findings}
    more = " ".join(map(plain_sentence, findings))
    lines = []
    is_added = False
    for line in _unwrapped(text):
        kept = _without_denials(line, woven, phrases)
        if HEADINGS.match(line):
            kept, is_added = f"{kept} {more}".strip(), True
        if kept or not line.strip():
            lines.append(kept)
    if not is_added:
        lines.append(more)
    return "\n".join(lines).strip() + "\n"


def _unwrapped(text: str) -> list[str]:
    """The lines of a report; those that end within a sentence go on with the next."""
    lines: list[str] = []
    for line in text.strip().splitlines():
        goes_on = lines and lines[-1].strip() and not ENDED.search(lines[-1])
        if goes_on and line.strip() and not STARTS.match(line):
            lines[-1] = f"{lines[-1].rstrip()} {line.strip()}"
        else:
            lines.append(line)
    return lines


def _without_denials(line: str, woven: set[str], phrases: Phrases) -> str:
    heading = HEADINGS.match(line)
    body = (line[heading.end() :] if heading else line).strip()
    mark = ITEM.match(body)
    kept: list[str] = []
    sentences = re.split(r"(?<=[.!?])\s+", body[mark.end() :] if mark else body)
    for sentence in filter(None, sentences):
        said = read_findings(sentence, phrases)
        denied = {one.name for one in said if one.presence is Presence.ABSENT}
        if denied & woven:
            kept += [_again(one) for one in said if one.name not in woven]
        elif said or not ALL_WELL.search(sentence):
            kept.append(sentence)
    marked = [mark.group().strip()] if mark and kept else []
    return " ".join([*([heading.group()] if heading else []), *marked, *kept])


def _again(one: Finding) -> str:
    """What else a sentence said that is left out."""
    if one.presence is not Presence.ABSENT:
        return plain_sentence(one)
    words = in_words(one)
    return f"{words[0].upper()}{words[1:]}."


def _side(region: Region, image: MedicalImage) -> Side | None:
    """Of the patient: a radiograph is looked at from the front; one from the side has none."""
    if image.kind is not None and image.kind.view:
        return None
    middle = np.argwhere(region).mean(0)
    if region.ndim == 2:
        return Side.LEFT if middle[1] > (region.shape[1] - 1) / 2 else Side.RIGHT
    affine = image.geometry.affine
    centre = (np.array(region.shape) - 1) / 2
    right = float((affine[:3, :3] @ (middle - centre))[0])
    return Side.RIGHT if right > 0 else Side.LEFT


def _length(region: Region, image: MedicalImage) -> float:
    """The longest edge of its box, mm."""
    points = np.argwhere(region)
    spans = points.max(0) - points.min(0) + 1
    return float(round(max(spans * np.array(image.geometry.spacing[: region.ndim]))))
