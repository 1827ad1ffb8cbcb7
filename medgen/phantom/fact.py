"""Facts: what is true of a simulated patient, and what it measures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medgen.finding import Finding
from medgen.phantom.render import Overlay


@dataclass(frozen=True)
class Fact:
    """One true statement about a patient.

    Attributes:
        finding: In the terms of a report.
        measures: Numbers with the unit in their name: `volume_ml`, `share`.
    """

    finding: Finding
    measures: Mapping[str, float] = field(default_factory=dict)

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
