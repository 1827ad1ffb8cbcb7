"""One visit of one patient: which files there are, and what each of them shows."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from medgen.modality import Kind, Modality, View


class Split(StrEnum):
    """What a study may be used for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class Study:
    """What one line of a manifest says.

    Attributes:
        id: Name of the study; unique in its manifest, and safe in a file name.
        patient: Whose study it is; all studies of a patient are in one split.
        images: File or DICOM folder of each kind of image.
        text: File with the radiology report.
        split: What the study may be used for; None where the manifest does not say.
        counterfactuals: File with reports in which one fact is changed.
        masks: Folder with a mask of each finding; an empty one says that there is nothing.

    Example:
        >>> Study("s1", "p1", {Kind.parse("mri:t1"): Path("t1.nii.gz")}).of("mri")
        [PosixPath('t1.nii.gz')]
    """

    id: str
    patient: str
    images: dict[Kind, Path] = field(default_factory=dict)
    text: Path | None = None
    split: Split | None = None
    counterfactuals: Path | None = None
    masks: Path | None = None

    def of(self, modality: str) -> list[Path]:
        """Every image of a modality, whatever its contrast; in the order of the manifest.

        A radiograph from the side shows another picture than one from the front, of which most
        models know nothing: it is among `laterals`, not here.
        """
        return [
            path
            for kind, path in self.images.items()
            if kind.modality == modality and kind.view is None
        ]

    @property
    def laterals(self) -> list[Path]:
        """Its radiographs from the side."""
        return [path for kind, path in self.images.items() if kind.view is View.LATERAL]

    @property
    def is_for_training(self) -> bool:
        """Whether it may be learned from: so is one of which the manifest says nothing."""
        return self.split in (None, Split.TRAIN)

    def has(self, modality: str) -> bool:
        """Whether it has a report, or an image of a modality."""
        return self.text is not None if modality == Modality.TEXT else bool(self.of(modality))

    @property
    def files(self) -> list[Path]:
        """Every file and folder the study names, the images first."""
        others = self.text, self.counterfactuals, self.masks
        return [*self.images.values(), *(one for one in others if one)]
