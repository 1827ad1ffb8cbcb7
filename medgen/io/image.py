"""One image as it was read: voxels, where they are, and what their numbers mean."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Shaped

from medgen.errors import InputError
from medgen.io.geometry import Geometry
from medgen.modality import FACTS, Kind

FileFormat = Literal["nifti", "dicom", "png"]


@dataclass(frozen=True)
class Source:
    """Where an image came from, as far as the writers need to know.

    Attributes:
        path: File or folder that was read.
        format: The file kind; results are written in the same kind unless asked otherwise.
        sha256: Hash of the bytes that were read; names the input without naming the patient.
        header: What the format's own writer wants back (NIfTI codes, DICOM attributes); opaque
            to everybody else, and never printed: it can hold identifiers.
    """

    path: Path
    format: FileFormat
    sha256: str
    header: dict[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, eq=False)  # an array has no truth: an image equals itself alone
class MedicalImage:
    """Voxels + geometry + kind, valid by construction.

    Attributes:
        voxels: Axes (i, j, k) for a volume in the file's own voxel order; (row, column) for a
            radiograph. CT in HU, MRI in arbitrary units, X-ray in grey levels (high = bright).
        geometry: Voxel index to RAS+ mm. A radiograph's is (row, column, 0) on a flat detector.
        kind: The modality and MRI contrast, or None where the file does not say.
        source: The file it was read from; None for an image made in memory.
        spacing_is_known: False for a PNG or JPEG without physical pixel size.
        is_mask: Whether it may be the same everywhere, as a mask is that marks nothing.

    Raises:
        InputError: If the voxels are empty, not finite, constant, or have the wrong axes.
    """

    voxels: Shaped[np.ndarray, "*space"]
    geometry: Geometry
    kind: Kind | None = None
    source: Source | None = None
    spacing_is_known: bool = True
    is_mask: bool = False

    def __post_init__(self) -> None:
        name = self.source.path if self.source else "image"
        if self.voxels.size == 0:
            raise InputError(f"{name}: has no voxels")
        wanted = FACTS[self.kind.modality].axes if self.kind else None
        if self.voxels.ndim not in (2, 3) or (wanted and self.voxels.ndim != wanted):
            raise InputError(f"{name}: has {self.voxels.ndim} axes; expected {wanted or '2 or 3'}")
        if not np.isfinite(self.voxels).all():
            raise InputError(f"{name}: has NaN or infinite voxels; clean it first")
        if not self.is_mask and self.voxels.min() == self.voxels.max():
            raise InputError(f"{name}: every voxel is {self.voxels.flat[0]}; nothing to see")

    def with_voxels(self, voxels: Shaped[np.ndarray, "*space"], kind: Kind) -> "MedicalImage":
        """The same grid and source with other voxels, as a translation makes."""
        return replace(self, voxels=voxels, kind=kind)
