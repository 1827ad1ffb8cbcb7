"""Which studies to make up: the one table of settings that decides every voxel of them."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medgen.errors import UsageError
from medgen.modality import Contrast

FINE_MM = 1.5  # coarser voxels are means over finer ones, for partial volume
MAX_FINE = 3  # of them along each side
ANY = "random"
WORDS = [*(str(contrast) for contrast in Contrast), ANY]


@dataclass(frozen=True)
class StudyConfig:
    """What the studies are made of.

    Attributes:
        seed: Of all of them; study k is the same alone and among many.
        labels: A label map or a folder of them, taken in turn; None is the procedural head.
        contrasts: MRIs of each study; `random` is any protocol.
        spacing: Voxel size of the CT and of MRIs with thin slices, mm.
        size: Voxels of the CT along i, j, k; None holds the anatomy.
        still: Leave the anatomy as it is, without another patient's deformation.
        fwhm_mm: Full width at half maximum of the point spread function of CT and MRI, mm.
        noise_hu: Standard deviation of the CT's noise, HU.
        noise_mri: Of the MRIs' noise, relative to the 99th percentile; None draws it.
        protocols: Draw each MRI's times, or take the usual ones.
        thick: Share of MRIs with slices of 2 to 5 mm, on a grid of their own.
        partial: Share of studies that lack the neck or the vertex.
        ill: Share of patients with disease of the brain.
        has_ct: Whether a study has a CT.
        has_report: Whether it has a report.
        held_out: Write the report in the words that are kept from training.
        counterfactuals: Rounds of reports with one fact changed.
        masks: Tell where each finding is.
        follow_up: Every patient is seen twice.
        lps: Store axial slices as scanners do, left and front first.
    """

    seed: int = 0
    labels: Path | None = None
    contrasts: tuple[str, ...] = ("t1", "t2", "flair", "pd")
    spacing: float = 1.0
    size: tuple[int, int, int] | None = None
    still: bool = False
    fwhm_mm: float = 1.0
    noise_hu: float = 15.0
    noise_mri: float | None = None
    protocols: Literal["random", "typical"] = "random"
    thick: float = 0.35
    partial: float = 0.25
    ill: float = 0.0
    has_ct: bool = True
    has_report: bool = False
    held_out: bool = False
    counterfactuals: int = 0
    masks: bool = False
    follow_up: bool = False
    lps: bool = False

    def __post_init__(self) -> None:
        for word in self.contrasts:
            if word not in WORDS:
                raise UsageError(f"contrast '{word}' is not one of {', '.join(WORDS)}")
        if len(set(self.contrasts)) < len(self.contrasts):
            raise UsageError("a contrast is named twice; name each once")
        if not 0.3 <= self.spacing <= 10:
            raise UsageError(f"spacing {self.spacing:g} mm: choose 0.3 to 10")
        if self.size and not all(8 <= length <= 1024 for length in self.size):
            raise UsageError(f"size {self.size}: each side has 8 to 1024 voxels")
        if self.size and math.prod(self.size) * self.fine**3 > 2**28:
            raise UsageError(f"size {self.size}: too many voxels; choose fewer or a finer spacing")
        if not 0 <= self.ill <= 1:
            raise UsageError(f"a share of {self.ill:g} is ill: choose 0 to 1")
        if not (self.has_ct or self.contrasts or self.has_report):
            raise UsageError("nothing to make: name text, ct or mri")
        if self.noise_hu < 0 or self.fwhm_mm < 0:
            raise UsageError("noise and fwhm are 0 or more")

    @property
    def fine(self) -> int:
        """How many fine voxels, a side, make one of the image."""
        return min(MAX_FINE, max(1, math.ceil(self.spacing / FINE_MM)))
