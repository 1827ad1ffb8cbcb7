"""Facts: what is true of a simulated patient, what it measures, and how it is told."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator

from medgen.finding import Finding, Presence
from medgen.phantom.field import chance
from medgen.phantom.render import Overlay
from medgen.phantom.report import Report, write_report

SAID = 0.35  # share of what is absent that a report mentions


@dataclass(frozen=True)
class Fact:
    """One true statement about a patient.

    Attributes:
        finding: In the terms of a report.
        measures: Numbers with the unit in their name: `volume_ml`, `share`.
        where: What shows it; empty for what is nowhere, or everywhere.
    """

    finding: Finding
    measures: Mapping[str, float] = field(default_factory=dict)
    where: tuple[Overlay, ...] = field(default=(), compare=False)

    def as_json(self) -> dict[str, Any]:
        """Only what is known."""
        finding = self.finding
        known = {
            "name": finding.name,
            "presence": str(finding.presence),
            "side": finding.side and str(finding.side),
            "region": finding.region,
            "size_mm": finding.size_mm,
            "severity": finding.severity,
            "course": finding.course and str(finding.course),
        }
        return {key: value for key, value in known.items() if value is not None} | {
            key: float(f"{value:.4g}") for key, value in self.measures.items()
        }


@dataclass(frozen=True)
class Disease:
    """What a disease puts into a body, and what is then true.

    Attributes:
        overlays: Tissues that come, in this order.
        facts: The finding it is drawn as first, then its companions.
    """

    overlays: tuple[Overlay, ...]
    facts: tuple[Fact, ...]


def severity(value: float, steps: tuple[float, float]) -> str:
    """`small` below the first step, `large` from the second on, `moderate` between."""
    return ("small", "moderate", "large")[(value >= steps[0]) + (value >= steps[1])]


def absent(names: Iterable[str], present: Iterable[Fact]) -> list[Fact]:
    """Of these findings, those that a patient is known not to have."""
    said = {fact.finding.name for fact in present}
    return [Fact(Finding(name, Presence.ABSENT)) for name in names if name not in said]


def report_of(
    facts: Sequence[Fact], *, generator: Generator, technique: str, held_out: bool = False
) -> Report:
    """A report with all that is there and some of what is not, in any order.

    Args:
        facts: Of the patient.
        generator: Chooses what is said and how.
        technique: A sentence that half of the reports begin with.
        held_out: Write in the words that are kept from training.
    """
    return write_report(
        said_of(facts, generator),
        generator=generator,
        technique=technique if chance(0.5, generator) else "",
        held_out=held_out,
    )


def said_of(facts: Sequence[Fact], generator: Generator) -> list[Finding]:
    """All findings that are there and some of those that are not, in any order."""
    said = [
        fact.finding for fact in facts if _must_be_said(fact.finding) or chance(SAID, generator)
    ]
    order = torch.randperm(len(said), generator=generator).tolist()
    return [said[at] for at in order]


def _must_be_said(finding: Finding) -> bool:
    return finding.presence is not Presence.ABSENT or finding.course is not None
