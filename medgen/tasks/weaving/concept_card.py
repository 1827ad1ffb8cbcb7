"""The card of a concept: what it is, of what data, for which model."""

from dataclasses import dataclass

from medgen import __version__
from medgen.errors import UsageError
from medgen.io.names import safe_name
from medgen.tasks.weaving.bank import Bank

ENDING = ".concept"


@dataclass(frozen=True)
class ConceptCard:
    """What a concept is.

    Raises:
        UsageError: If its name could not be that of a mask's file.

    Attributes:
        name: What it is called.
        kind: Of the scans that it belongs to: `xray`, `mri:t1`.
        says: Its class, in the words that the flow was told.
        base: SHA-256 of the flow that it belongs to.
        bank: What its examples look like.
        data: What it was learned from.
        licence: SPDX identifier of that data's licence.
        steps: Of training; 0 for one that was made without.
        seed: Of training.
        spacing: Of the voxels or pixels as the flow saw them, mm; None where nobody knows.
        medgen: Version that made it.
        intended_use: What it is for, and what not.
    """

    name: str
    kind: str
    says: str
    base: str
    bank: Bank
    data: str = ""
    licence: str = ""
    steps: int = 0
    seed: int = 0
    spacing: float | None = None
    medgen: str = __version__
    intended_use: str = "Research. Not for clinical use."

    def __post_init__(self) -> None:
        check_name(self.name)


def check_name(name: str) -> None:
    """Raises UsageError for a name that would not do for a file: masks are called by it."""
    if not name or name != safe_name(name) or "." in name:
        raise UsageError(f"--name '{name}': is no name for a mask's file; write --name nodule, say")
