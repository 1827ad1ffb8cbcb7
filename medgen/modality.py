"""The kinds of data medgen knows, and the one table of what their numbers mean."""

from dataclasses import dataclass
from enum import StrEnum

from medgen.errors import UsageError

AIR_HU = -1000.0  # by definition of the Hounsfield scale


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


class View(StrEnum):
    """From where a radiograph is taken, if not from the front or the back."""

    LATERAL = "lateral"


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
    """A modality; for MRI its contrast, where it is known; for a radiograph from the side its view.

    Example:
        >>> str(Kind.parse("mri:t2"))
        'mri:t2'
        >>> Kind.parse("ct").contrast is None
        True
    """

    modality: Modality
    contrast: Contrast | None = None
    view: View | None = None

    @classmethod
    def parse(cls, word: str) -> "Kind":
        """Read one of `WORDS`, as `xray`, `xray:lateral`, `ct` or `mri:t1`.

        Raises:
            UsageError: If the word is none of these.
        """
        name, _, more = word.lower().partition(":")
        if name in set(Modality) and more in set(Contrast) and name != Modality.MRI:
            raise UsageError(f"'{word}': only mri has a contrast; write '{name}'")
        if word.lower() not in WORDS:
            raise UsageError(f"'{word}' is not one of {', '.join(WORDS)}")
        modality = Modality(name)
        if modality is Modality.XRAY:
            return cls(modality, view=View(more) if more else None)
        return cls(modality, Contrast(more) if more else None)

    @property
    def slug(self) -> str:
        """The kind as it stands in file names: `ct`, `t1`, `lateral`."""
        return str(self.contrast or self.view or self.modality)

    @property
    def plain(self) -> "Kind":
        """The kind without its contrast: what one network may read."""
        return Kind(self.modality, view=self.view)

    def __str__(self) -> str:
        more = self.contrast or self.view
        return f"{self.modality}:{more}" if more else str(self.modality)


WORDS = [
    *("text", "xray", *(f"xray:{view}" for view in View)),
    *("ct", "mri", *(f"mri:{contrast}" for contrast in Contrast)),
]
