"""The kinds of data medgen knows, and the one table of what their numbers mean."""

from dataclasses import dataclass
from enum import StrEnum

from medgen.errors import UsageError


class Modality(StrEnum):
    """What kind of data it is; the word used in manifests and on the command line."""

    TEXT = "text"
    XRAY = "xray"
    CT = "ct"
    MRI = "mri"


class Contrast(StrEnum):
    """How an MRI is weighted."""

    T1 = "t1"
    T2 = "t2"
    FLAIR = "flair"
    PD = "pd"


@dataclass(frozen=True)
class ModalityFacts:
    """What is true of every image of a modality.

    Attributes:
        axes: Number of spatial axes.
        unit: What one unit of intensity means.
        window: Intensities (low, high) that map to [-1, 1]; None where every image has its own.
    """

    axes: int
    unit: str
    window: tuple[float, float] | None


FACTS = {
    Modality.TEXT: ModalityFacts(axes=0, unit="text", window=None),
    Modality.XRAY: ModalityFacts(axes=2, unit="grey", window=None),
    # The 12-bit range of scanners; the window of SynthRAD2025 too (PAPERS 7.1).
    Modality.CT: ModalityFacts(axes=3, unit="HU", window=(-1024.0, 3071.0)),
    Modality.MRI: ModalityFacts(axes=3, unit="arbitrary", window=None),
}


@dataclass(frozen=True)
class Kind:
    """A modality and, for MRI where it is known, its contrast.

    Example:
        >>> str(Kind.parse("mri:t2"))
        'mri:t2'
        >>> Kind.parse("ct").contrast is None
        True
    """

    modality: Modality
    contrast: Contrast | None = None

    @classmethod
    def parse(cls, word: str) -> "Kind":
        """Read `ct`, `xray`, `text`, `mri`, `mri:t1`, `mri:t2`, `mri:flair` or `mri:pd`.

        Raises:
            UsageError: If the word is none of these.
        """
        name, _, weighting = word.lower().partition(":")
        try:
            modality = Modality(name)
            contrast = Contrast(weighting) if weighting else None
        except ValueError:
            raise UsageError(f"'{word}' is not one of {', '.join(WORDS)}") from None
        if contrast and modality is not Modality.MRI:
            raise UsageError(f"'{word}': only mri has a contrast; write '{name}'")
        return cls(modality, contrast)

    @property
    def slug(self) -> str:
        """The kind as it stands in file names: `ct`, `t1`."""
        return str(self.contrast or self.modality)

    def __str__(self) -> str:
        return f"{self.modality}:{self.contrast}" if self.contrast else str(self.modality)


WORDS = ["text", "xray", "ct", "mri", *(f"mri:{contrast}" for contrast in Contrast)]
