"""What is true of a study, as the answers to claims: of a simulated one its facts, else its report.

A report is taken at its word: what it does not mention is not there, and what it doubts is not
known.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from medgen.data.study import Study
from medgen.encoders.finder import SEVERITIES, SIDES
from medgen.errors import InputError
from medgen.finding import Course, Finding, Presence, Side
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import Phrases
from medgen.tasks.studies import read_report

FACTS = "findings.json"  # beside a simulated study's images
UNITS = {"pleural_effusion": "ml"}  # of sizes; of all else mm, where reports measure it
UNKNOWN = -1  # severity or region that nobody tells


@dataclass(frozen=True)
class Fact:
    """A finding, and its size in the unit of `UNITS`; None where nobody measured."""

    finding: Finding
    size: float | None = None


@dataclass(frozen=True)
class Answers:
    """What is true of one study, or of a batch of them.

    Attributes:
        there: 1 where the claim is true, 0 where it is not, NaN where nobody knows.
        size: Natural logarithm of its size; NaN where nobody measured.
        severity: Number in `SEVERITIES`; -1 where nobody tells.
        region: Number among the regions; -1 where nobody tells.
    """

    there: Float[Tensor, "*batch claims"]
    size: Float[Tensor, "*batch claims"]
    severity: Int[Tensor, "*batch claims"]
    region: Int[Tensor, "*batch claims"]


def claims_of(facts: Iterable[Sequence[Fact]]) -> tuple[str, ...]:
    """The claims that studies can teach: every finding that is there, with the sides it has."""
    found = {
        claim
        for of_study in facts
        for one in of_study
        if one.finding.presence is Presence.PRESENT
        for claim in claims_in(one.finding)
    }
    sided = {claim.partition(":")[0] for claim in found if ":" in claim}
    return tuple(sorted(claim for claim in found if ":" in claim or claim not in sided))


def regions_of(facts: Iterable[Sequence[Fact]]) -> tuple[str, ...]:
    """The regions that studies name."""
    named = {one.finding.region for of_study in facts for one in of_study}
    return tuple(sorted(region for region in named if region))


def claims_in(finding: Finding) -> tuple[str, ...]:
    """What a finding claims: on both sides, that it is on either.

    Example:
        >>> claims_in(Finding("nodule", side=Side.BOTH))
        ('nodule:left', 'nodule:right')
        >>> claims_in(Finding("oedema"))
        ('oedema',)
    """
    if finding.side is None:
        return (finding.name,)
    sides = SIDES if finding.side is Side.BOTH else (finding.side,)
    return tuple(f"{finding.name}:{side}" for side in sides)


def answers_of(facts: Sequence[Fact], claims: Sequence[str], regions: Sequence[str]) -> Answers:
    """The answers to these claims; of two nodules on one side, the larger one's."""
    there = torch.zeros(len(claims))
    size = torch.full((len(claims),), math.nan)
    severity = torch.full((len(claims),), UNKNOWN)
    region = torch.full((len(claims),), UNKNOWN)
    for fact in sorted(facts, key=lambda one: one.size or 0.0):
        finding = fact.finding
        if finding.presence is Presence.ABSENT:
            continue
        told = claims_in(finding)
        places = [at for at, claim in enumerate(claims) if claim in told]
        if not places:  # what has no side, though the text gives it one
            places = [at for at, claim in enumerate(claims) if claim == finding.name]
        if not places:  # a side that the report does not tell
            places = [at for at, claim in enumerate(claims) if _name(claim) == finding.name]
            there[places] = math.nan
            continue
        is_sure = finding.presence is Presence.PRESENT
        for at in places:
            if not is_sure and there[at] == 1:
                continue
            there[at] = 1.0 if is_sure else math.nan
            if is_sure and fact.size:
                size[at] = math.log(fact.size)
            if is_sure and finding.severity in SEVERITIES:
                severity[at] = SEVERITIES.index(finding.severity)
            if is_sure and finding.region and finding.region in regions:
                region[at] = list(regions).index(finding.region)
    return Answers(there, size, severity, region)


def study_facts(study: Study, phrases: Phrases) -> list[Fact] | None:
    """The facts of a simulated study, or what its report says; None where it has neither.

    Raises:
        InputError: If they cannot be read.
    """
    beside = {path.parent / FACTS for path in study.images.values()}
    for path in sorted(beside):
        if path.is_file():
            return read_facts(path)
    text = read_report(study)
    if text is None:
        return None
    return said_facts(text, phrases)


def said_facts(text: str, phrases: Phrases) -> list[Fact]:
    """What a report says; a length is no size of what is measured in ml or percent."""
    return [as_fact(one) for one in read_findings(text, phrases)]


def as_fact(said: Finding) -> Fact:
    """What is said of one finding."""
    return Fact(said, None if said.name in UNITS else said.size_mm)


def read_facts(path: Path) -> list[Fact]:
    """The facts of a simulated study.

    Raises:
        InputError: If the file is not as `medgen phantom` writes it.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["findings"]
        return [_fact(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: cannot be read as facts; simulate the study again") from None


def _fact(row: dict[str, object]) -> Fact:
    name, side = str(row["name"]), row.get("side")
    size = row.get(f"volume_{UNITS[name]}") if name in UNITS else row.get("size_mm")
    finding = Finding(
        name,
        Presence(str(row["presence"])),
        side=Side(str(side)) if side else None,
        region=str(row["region"]) if row.get("region") else None,
        size_mm=float(str(row["size_mm"])) if row.get("size_mm") else None,
        severity=str(row["severity"]) if row.get("severity") else None,
        course=Course(str(row["course"])) if row.get("course") else None,
    )
    return Fact(finding, float(str(size)) if size else None)


def _name(claim: str) -> str:
    return claim.partition(":")[0]
