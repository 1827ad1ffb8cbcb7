"""Standard views: any scan or radiograph on the one grid that an encoder takes."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from medgen.data.intensity import Window, mri_window
from medgen.data.resample import Grid, isotropic_grid, resample
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import Modality

CT_WINDOWS = (Window(-1000, 300), Window(-40, 120), Window(0, 1500))
"""Lung, soft tissue and bone, in HU: one channel each, as radiologists look at a CT."""
AIR_HU = -1000.0
GREY_PERCENTILES = (1.0, 99.0)  # of a radiograph, to -1 and 1


@dataclass(frozen=True)
class StandardConfig:
    """The grids that images are brought to.

    Attributes:
        side: Pixels of a radiograph's longer side; the shorter one is filled up.
        shape: Voxels of a volume: Right, Anterior, Superior.
        spacing: Of the volume, mm.
    """

    side: int = 192
    shape: tuple[int, int, int] = (96, 80, 88)
    spacing: float = 4.0


def channels_of(modality: Modality) -> int:
    """How many channels the standard view of a modality has."""
    return len(CT_WINDOWS) if modality is Modality.CT else 1


def standard_view(
    image: MedicalImage, modality: Modality, config: StandardConfig
) -> Float[Tensor, "channels *space"]:
    """The image as an encoder takes it, in [-1, 1].

    A radiograph stays as it is looked at, whole, with black beside it where it is no square. A
    volume is turned upright, and cut or filled with air around the middle of its field of view.
    """
    if modality is Modality.XRAY:
        return radiograph_view(image.voxels, config.side)
    grid = standard_grid(image, config)
    if modality is Modality.MRI:
        window = mri_window(image.voxels)
        volume = resample(image.voxels, image.geometry, grid, fill=window.low)
        return torch.from_numpy(window.normalise(volume))[None]
    hu = resample(image.voxels, image.geometry, grid, fill=AIR_HU)
    return torch.from_numpy(np.stack([window.normalise(hu) for window in CT_WINDOWS]))


def standard_grid(image: MedicalImage, config: StandardConfig) -> Grid:
    """The grid of a volume's standard view: upright, around the middle of its field of view."""
    i, j, k = image.voxels.shape
    covering = isotropic_grid(Grid((i, j, k), image.geometry), config.spacing)
    affine = covering.geometry.affine.copy()
    corner = (np.array(covering.shape) - np.array(config.shape)) / 2
    affine[:3, 3] += affine[:3, :3] @ corner
    return Grid(config.shape, Geometry(affine))


def radiograph_view(
    grey: Shaped[np.ndarray, "rows columns"], side: int
) -> Float[Tensor, "1 side side"]:
    """A radiograph, the longer side scaled to `side` pixels."""
    low, high = np.percentile(grey, GREY_PERCENTILES)
    window = Window(float(low), float(max(high, low + 1e-6)))
    picture = torch.from_numpy(window.normalise(grey))[None, None]
    rows, columns = grey.shape
    scale = side / max(rows, columns)
    size = (max(1, round(scale * rows)), max(1, round(scale * columns)))
    small = F.interpolate(picture, size, mode="bilinear", antialias=True, align_corners=False)
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    margins = (left, side - size[1] - left, top, side - size[0] - top)
    return F.pad(small[0], margins, value=-1.0)
