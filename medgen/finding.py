"""A finding: one statement of a report, or one fact of a simulated patient."""

from dataclasses import dataclass
from enum import StrEnum


class Presence(StrEnum):
    """Whether it is there."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"


class Side(StrEnum):
    """The patient's side."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"


class Course(StrEnum):
    """What has become of it since the patient's last study."""

    NEW = "new"
    UNCHANGED = "unchanged"
    LARGER = "larger"
    GONE = "gone"


@dataclass(frozen=True)
class Finding:
    """What is seen, or not, and where.

    Attributes:
        name: From the phrase files: `pleural_effusion`, `nodule`, `haemorrhage` …
        presence: Present, absent or uncertain.
        side: None where it has none, or nobody says.
        region: From the phrase files: `upper_lobe`, `frontal` …; None where nobody says.
        size_mm: Largest diameter; None where nobody measured.
        severity: `small`, `moderate` or `large`; None where nobody says.
        course: Since the last study; None where nobody says. What is gone is absent.
    """

    name: str
    presence: Presence = Presence.PRESENT
    side: Side | None = None
    region: str | None = None
    size_mm: float | None = None
    severity: str | None = None
    course: Course | None = None
