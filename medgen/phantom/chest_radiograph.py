"""Radiographs of a made-up chest, as some room takes them and some maker's software shows them."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch.nn.functional as F
from jaxtyping import Bool, UInt8
from torch import Generator, Tensor

from medgen.io.image import MedicalImage
from medgen.phantom.acquisition import acquire_xray
from medgen.phantom.field import uniform
from medgen.phantom.mask import shaded
from medgen.phantom.projection import Beam, View
from medgen.phantom.radiograph import Display, Exposure
from medgen.phantom.render import Body, CTScan, render_ct

PIXEL_MM = 1.0
MARGIN_MM = (10.0, 45.0)  # shown on each side of the lungs
BEYOND_MM = 40.0  # by which a body goes on above and below what is scanned
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""First and last voxel along Right, Anterior, Superior."""
SOURCE_MM: dict[View, float] = {"pa": 1800.0, "ap": 1100.0, "lateral": 1800.0}


@dataclass(frozen=True)
class Taken:
    """A radiograph of a chest.

    Attributes:
        image: Cut to the lungs and a little around them.
        facts: Of tube, detector, room and software, as JSON takes them.
        spacing: Of the body's voxels, mm.
        beam: Through the body.
        box: Of the whole detector, rows and columns that are kept.
    """

    image: MedicalImage
    facts: dict[str, Any]
    spacing: float
    beam: Beam
    box: tuple[slice, slice]

    def shade(self, mask: Bool[Tensor, "i j k"]) -> UInt8[np.ndarray, "row column"] | None:
        """1 where the rays pass a part of the body; None if none of the image does, or all."""
        beyond = round(BEYOND_MM / self.spacing)
        padded = F.pad(mask, (beyond, beyond))
        shade = shaded(padded, (self.spacing,) * 3, self.beam, PIXEL_MM)[self.box]
        return shade.numpy().astype(np.uint8) if shade.any() and not shade.all() else None


def take_chest(body: Body, lungs: Box, view: View, *, generator: Generator) -> Taken:
    """Take a radiograph of a chest, in some room.

    Args:
        body: The patient.
        lungs: Where they are.
        view: From where.
        generator: Source of the room, the software and the noise.
    """
    hu = render_ct(body, CTScan(fwhm_mm=0, noise_hu=0), generator=generator)
    exposure = random_exposure(view, generator)
    beyond = round(BEYOND_MM / body.spacing)
    wide = F.pad(hu, (beyond, beyond), mode="replicate")
    display = random_display(view, generator)
    spacing = (body.spacing,) * 3
    whole = acquire_xray(wide, spacing, exposure, generator=generator, display=display)
    across, along = (1, 0) if view == "lateral" else (0, 1)
    low, high = lungs[2]
    seen = (lungs[across], (low + beyond, high + beyond))
    far = exposure.gap_mm + hu.shape[along] * body.spacing
    shrink = (exposure.source_mm - far) / (exposure.source_mm - far / 2)
    rows, columns = whole.voxels.shape
    size = (wide.shape[across], wide.shape[2])
    box = collimation((rows, columns), seen, size, shrink, generator)
    image = replace(whole, voxels=np.ascontiguousarray(whole.voxels[box]))
    facts = asdict(exposure) | asdict(display)
    beam = Beam(view, exposure.source_mm, exposure.gap_mm)
    return Taken(image, facts, body.spacing, beam, box)


def collimation(
    picture: tuple[int, int],
    lungs: tuple[tuple[int, int], tuple[int, int]],
    size: tuple[int, int],
    shrink: float,
    generator: Generator,
) -> tuple[slice, slice]:
    """The part of a radiograph that shows the lungs and a little around them.

    Args:
        picture: Rows and columns of the radiograph of the whole volume.
        lungs: First and last voxel of the lungs, across the picture and up it.
        size: Voxels of the volume along those.
        shrink: Magnification of the lungs relative to what is farthest from the detector, whose
            shadow fills it.
        generator: Source of the margins.

    Returns:
        Its rows and its columns.
    """
    rows, columns = picture
    box = []
    for ends, voxels, pixels in zip(lungs, size, (columns, rows), strict=True):
        last, first = (pixels * (0.5 - shrink * (end / voxels - 0.5)) for end in ends)
        before, after = (uniform(*MARGIN_MM, generator) / PIXEL_MM for _ in range(2))
        box.append(slice(max(0, round(first - before)), min(pixels, round(last + after))))
    return box[1], box[0]


def random_exposure(view: View, generator: Generator) -> Exposure:
    """Some room's tube and detector: 110 to 140 kV standing, 80 to 110 kV at the bed."""
    is_standing = view != "ap"
    return Exposure(
        view,
        pixel_mm=PIXEL_MM,
        kilovolts=uniform(*((110, 140) if is_standing else (80, 110)), generator),
        source_mm=SOURCE_MM[view],
        scatter=uniform(0.1, 0.3, generator),
        scatter_mm=uniform(25, 60, generator),
        photons=10 ** uniform(5.55, 6.4, generator),
        structure=uniform(*((0.010, 0.019) if is_standing else (0.008, 0.030)), generator),
    )


def random_display(view: View, generator: Generator) -> Display:
    """Some maker's processing; at the bed the edges are enhanced more.

    The ranges are those with which histogram and spectrum are most like those of real radiographs:
    `python -m benchmarks.radiographs`.
    """
    is_standing = view != "ap"
    return Display(
        contrast=uniform(*((0.29, 0.39) if is_standing else (0.37, 0.45)), generator),
        detail=uniform(*((1.7, 2.45) if is_standing else (0.8, 1.5)), generator),
        detail_mm=uniform(*((26, 41) if is_standing else (12, 25)), generator),
        edge=uniform(*((2.1, 2.5) if is_standing else (3.1, 4.1)), generator),
        edge_mm=uniform(1.3, 2.6, generator),
    )
