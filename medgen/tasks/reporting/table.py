"""The table of findings: what a finder's answers mean, claim by claim, before a word is written."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from medgen.encoders.finder import SEVERITIES, Found
from medgen.finding import Course, Finding, Presence, Side
from medgen.metrics.findings import STRENGTH
from medgen.tasks.facts import UNITS, Answers, Fact, answers_of, as_fact, claims_in
from medgen.tasks.finder.model import Calibration

USUAL = 0.05  # of the studies without findings, those that may be told one
EVEN = 0.5  # probability
DOUBT = 0.5  # of the probability from which a claim is told: from here on it is uncertain
GROWTH = 1.2  # of a diameter: progress (RECIST 1.1); a volume grows by its cube
MILLIMETRES = "mm"
NOT_ASSESSED = "not assessed"


@dataclass(frozen=True)
class Row:
    """One claim of the table.

    Attributes:
        claim: `finding` or `finding:side`.
        finding: In the terms of a report; `size_mm` in whole millimetres.
        score: Probability, calibrated.
        size: In `unit`; None for what is not there, or has no size.
        unit: `mm` or `ml`.
        image: Number of the image that it rests on most, from 0; -1 without one.
        place: In that image: the box of the cells that hold half of the attention, as the first
            and last share of each axis, 0 to 1.
        is_assessed: Whether its absence means anything: False of what is not told, and in such
            images is missed more often than not.
    """

    claim: str
    finding: Finding
    score: float
    size: float | None = None
    unit: str = MILLIMETRES
    image: int = -1
    place: tuple[tuple[float, float], ...] = ()
    is_assessed: bool = True

    def as_json(self) -> dict[str, Any]:
        """Only what is known."""
        finding = self.finding
        known: dict[str, Any] = {
            "finding": finding.name,
            "presence": str(finding.presence) if self.is_assessed else NOT_ASSESSED,
            "side": finding.side and str(finding.side),
            "region": finding.region,
            "severity": finding.severity,
            f"size_{self.unit}": self.size,
            "course": finding.course and str(finding.course),
            "score": round(self.score, 3),
        }
        if self.image >= 0:
            known |= {"image": self.image, "place": [list(ends) for ends in self.place]}
        return {key: value for key, value in known.items() if value is not None}


def threshold_of(calibration: Calibration, operating_point: float | None = None) -> float:
    """The probability from which a claim is told.

    Args:
        calibration: Of the finder.
        operating_point: Share of the studies without findings that may be told one. None: `USUAL`,
            and of what may then be told only what is likelier than not.
    """
    shares = np.log(calibration.invented)
    point = USUAL if operating_point is None else operating_point
    threshold = float(np.interp(math.log(point), shares, calibration.threshold))
    return max(threshold, EVEN) if operating_point is None else threshold


def table_of(
    found: Found,
    claims: Sequence[str],
    regions: Sequence[str],
    calibration: Calibration,
    threshold: float,
) -> list[Row]:
    """The rows of one study, surest first.

    Args:
        found: Of a batch of one.
        claims: Of the finder.
        regions: Of the finder.
        calibration: Of its answers.
        threshold: Probability from which a claim is present; half of it makes it uncertain. What
            more than half of the studies with a finding do not reach is no absence.
    """
    rows = []
    for at, claim in enumerate(claims):
        odds = float(found.odds[0, at]) * calibration.scale[at] + calibration.shift[at]
        score = 1 / (1 + math.exp(-odds))
        name, _, side = claim.partition(":")
        presence = Presence.ABSENT
        if score >= DOUBT * threshold:
            presence = Presence.PRESENT if score >= threshold else Presence.UNCERTAIN
        finding = Finding(name, presence, side=Side(side) if side else None)
        unit = UNITS.get(name, MILLIMETRES)
        if presence is Presence.ABSENT:
            known = not calibration.median or calibration.median[at] >= threshold
            rows.append(Row(claim, finding, score, unit=unit, is_assessed=known))
            continue
        size = None
        if claim in calibration.sized:
            size = float(f"{math.exp(float(found.size[0, at])):.2g}")
        region = _likeliest(found.region[0, at].tolist(), regions)
        graded = SEVERITIES[int(found.severity[0, at].argmax())]
        finding = replace(
            finding,
            region=region if claim in calibration.placed else None,
            size_mm=size if unit == MILLIMETRES and presence is Presence.PRESENT else None,
            severity=graded if claim in calibration.graded else None,
        )
        rows.append(Row(claim, finding, score, size, unit))
    return sorted(rows, key=lambda row: -row.score)


def _likeliest(odds: Sequence[float], names: Sequence[str]) -> str | None:
    """The region that is likelier than all others together; None if there is none."""
    if not odds:
        return None
    shares = np.exp(np.array(odds) - max(odds))
    best = int(shares.argmax())
    return names[best] if 2 * shares[best] > shares.sum() else None


def box_of(attention: Float[np.ndarray, "*grid"]) -> tuple[tuple[float, float], ...]:
    """The box of the cells that hold half of a map, as shares of each axis."""
    order = np.sort(attention, axis=None)[::-1]
    enough = int((order.cumsum() < order.sum() / 2).sum())
    inside = attention >= order[min(enough, len(order) - 1)]
    ends = []
    for axis, length in enumerate(attention.shape):
        others = tuple(each for each in range(attention.ndim) if each != axis)
        there = np.flatnonzero(inside.any(axis=others))
        ends.append((round(int(there[0]) / length, 3), round(int(there[-1] + 1) / length, 3)))
    return tuple(ends)


def compared(rows: Sequence[Row], before: Sequence[Fact]) -> list[Row]:
    """The table with what has become of each finding since the patient's last study.

    What that study does not mention was not there. What is uncertain or not assessed, now or then,
    is not compared.

    Args:
        rows: Of the study.
        before: What was seen then.
    """
    ranked = sorted(before, key=_surest_and_largest_last)
    past = {claim: one for one in ranked for claim in (*claims_in(one.finding), one.finding.name)}
    unsided = {one.finding.name: one for one in ranked if one.finding.side is None}
    return [_since(row, past.get(row.claim) or unsided.get(row.finding.name)) for row in rows]


def _surest_and_largest_last(one: Fact) -> tuple[int, float]:
    return STRENGTH.index(one.finding.presence), one.size or 0.0


def _since(row: Row, before: Fact | None) -> Row:
    finding, was = row.finding, before.finding.presence if before else Presence.ABSENT
    if Presence.UNCERTAIN in (finding.presence, was) or not row.is_assessed:
        return row
    is_there, was_there = (one is Presence.PRESENT for one in (finding.presence, was))
    course = None
    if is_there and was_there and before is not None:
        course = Course.LARGER if _has_grown(row, before) else Course.UNCHANGED
    elif is_there:
        course = Course.NEW
    elif was_there:
        course = Course.GONE
    return replace(row, finding=replace(finding, course=course))


def _has_grown(row: Row, before: Fact) -> bool:
    if row.size is not None and before.size is not None:
        return row.size > before.size * (GROWTH if row.unit == MILLIMETRES else GROWTH**3)
    now, then = row.finding.severity, before.finding.severity
    known = now in SEVERITIES and then in SEVERITIES
    return bool(known and SEVERITIES.index(str(now)) > SEVERITIES.index(str(then)))


def facts_in(rows: Sequence[Row]) -> list[Fact]:
    """A table as facts, so that it can be another's past; what is not assessed is uncertain."""
    return [
        Fact(row.finding, row.size)
        if row.is_assessed
        else Fact(replace(row.finding, presence=Presence.UNCERTAIN))
        for row in rows
    ]


def answers_in(rows: Sequence[Row], claims: Sequence[str], regions: Sequence[str]) -> Answers:
    """A table as the writer takes it."""
    return answers_of([as_fact(row.finding) for row in rows], claims, regions)
