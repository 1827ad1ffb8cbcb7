"""Standard views: any scan or radiograph on the one grid that an encoder takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from medgen.config import check_least
from medgen.data.intensity import Window, mri_window
from medgen.data.resample import Grid, isotropic_grid, resample
from medgen.errors import InputError, UsageError
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import AIR_HU, Modality

CT_WINDOWS = (Window(-1000, 300), Window(-40, 120), Window(0, 80), Window(0, 1500))
"""Lung, soft tissue, brain and bone, in HU: one channel each, as radiologists look at a CT."""
MRI_CHANNELS = 2  # its values, and their ranks
BODY = 0.3  # of the window: brighter is body; -610 HU in CT
AIR_MRI = -0.9  # in [-1, 1]: what is no brighter has no rank
STRAYS = 0.005  # share of it, at either end, that may be a table
GREY_PERCENTILES = (1.0, 99.0)  # of a radiograph, to -1 and 1


@dataclass(frozen=True)
class StandardConfig:
    """The grids that images are brought to.

    Attributes:
        side: Pixels of a radiograph's longer side; the shorter one is filled up.
        shape: Voxels of a volume: Right, Anterior, Superior.
        spacings: Voxel sizes to choose from, mm: the finest that holds the body from side to side
            and from back to front, or else the coarsest.
    """

    side: int = 192
    shape: tuple[int, int, int] = (56, 56, 56)
    spacings: tuple[float, ...] = (4.0, 6.5)

    def __post_init__(self) -> None:
        """Raises UsageError for a grid without cells."""
        check_least(self, 1, "side", "shape")
        if not self.spacings or not min(self.spacings) > 0:
            raise UsageError(f"spacings {self.spacings}: choose millimetres above 0")


def channels_of(modality: Modality) -> int:
    """How many channels the standard view of a modality has."""
    return {Modality.XRAY: 1, Modality.CT: len(CT_WINDOWS), Modality.MRI: MRI_CHANNELS}[modality]


def standard_view(
    image: MedicalImage, modality: Modality, config: StandardConfig
) -> Float[Tensor, "channels *space"]:
    """The image as an encoder takes it, in [-1, 1].

    A radiograph stays as it is looked at, whole, with black beside it where it is no square. A
    volume is turned upright, and cut or filled with air around the middle of its field of view. A
    CT has a channel for each of the windows; an MRI its values, in which fat outshines the brain,
    and their ranks, in which every tissue takes its share of the range.
    """
    if modality is Modality.XRAY:
        return radiograph_view(image.voxels, config.side)
    window, grid = _framed(image, modality, config)
    if modality is Modality.MRI:
        volume = resample(image.voxels, image.geometry, grid, fill=window.low)
        values = torch.from_numpy(window.normalise(volume))
        return torch.stack([values, ranked(values)])
    hu = resample(image.voxels, image.geometry, grid, fill=AIR_HU)
    return torch.from_numpy(np.stack([window.normalise(hu) for window in CT_WINDOWS]))


def standard_mask(
    mask: MedicalImage, image: MedicalImage, modality: Modality, config: StandardConfig
) -> Float[Tensor, "*half"]:
    """Where a mask lies in the standard view of its image, at half the resolution, 0 to 1.

    Args:
        mask: Not 0 where the finding is; on any grid, but that of a radiograph on its pixels.
        image: What it belongs to.
        modality: Of the image.
        config: As for the image's view.

    Raises:
        InputError: If it has other pixels than its radiograph.
    """
    there = (mask.voxels != 0).astype(np.float32)
    if modality is Modality.XRAY:
        if there.shape != image.voxels.shape:
            name = mask.source.path if mask.source else "mask"
            raise InputError(f"{name}: is {there.shape} pixels; its image {image.voxels.shape}")
        return F.max_pool2d(squared(torch.from_numpy(there), config.side, 0.0), 2)[0]
    _, grid = _framed(image, modality, config)
    share = torch.from_numpy(resample(there, mask.geometry, grid, fill=0.0))
    return F.max_pool3d(share[None], 2)[0]


def in_cells(masks: Tensor, cells: Sequence[int]) -> Tensor:
    """The largest share of masks within each cell of a coarser grid of 2 or 3 axes."""
    pool = F.adaptive_max_pool2d if len(cells) == 2 else F.adaptive_max_pool3d
    return pool(masks, tuple(cells))


def ranked(values: Float[Tensor, "*space"]) -> Float[Tensor, "*space"]:
    """Every voxel's rank among those of the body, -1 to 1: blind to gain, offset and gamma.

    Equal values have one rank, the highest of theirs. Air, `AIR_MRI` at most, is -1.
    """
    body = values > AIR_MRI
    inside = values[body]
    places = torch.searchsorted(inside.sort().values, inside, right=True)
    ranks = torch.full_like(values, -1.0)
    ranks[body] = 2 * places.to(values) / max(1, len(inside)) - 1
    return ranks


def _framed(image: MedicalImage, modality: Modality, config: StandardConfig) -> tuple[Window, Grid]:
    """The range of a volume's values, and the grid of its view."""
    window = _body_window(image.voxels, modality)
    return window, standard_grid(image, config, _brighter(image.voxels, window))


def body_voxels(
    voxels: Shaped[np.ndarray, "i j k"], modality: Modality
) -> Bool[np.ndarray, "i j k"]:
    """The voxels of a CT or an MRI that are no air, about."""
    return _brighter(voxels, _body_window(voxels, modality))


def _brighter(voxels: Shaped[np.ndarray, "i j k"], window: Window) -> Bool[np.ndarray, "i j k"]:
    there: Bool[np.ndarray, "i j k"] = voxels > window.low + BODY * (window.high - window.low)
    return there


def _body_window(voxels: Shaped[np.ndarray, "i j k"], modality: Modality) -> Window:
    return mri_window(voxels) if modality is Modality.MRI else CT_WINDOWS[0]


def standard_grid(
    image: MedicalImage, config: StandardConfig, body: Bool[np.ndarray, "i j k"]
) -> Grid:
    """The grid of a volume's standard view: upright, around the middle of its field of view.

    Args:
        image: The volume.
        config: What to choose from.
        body: Its voxels that are no air, about.
    """
    i, j, k = image.voxels.shape
    spacing = fitting_spacing(image.geometry, config, body)
    covering = isotropic_grid(Grid((i, j, k), image.geometry), spacing)
    affine = covering.geometry.affine.copy()
    corner = (np.array(covering.shape) - np.array(config.shape)) / 2
    affine[:3, 3] += affine[:3, :3] @ corner
    return Grid(config.shape, Geometry(affine))


def fitting_spacing(
    geometry: Geometry, config: StandardConfig, body: Bool[np.ndarray, "i j k"]
) -> float:
    """The finest of the spacings, mm, that holds the body, or else the coarsest."""
    extents = _extents(geometry, body)
    fitting = [
        spacing
        for spacing in sorted(config.spacings)
        if all(mm <= size * spacing for mm, size in zip(extents[:2], config.shape, strict=False))
    ]
    return (fitting or [max(config.spacings)])[0]


def _extents(geometry: Geometry, body: Bool[np.ndarray, "i j k"]) -> list[float]:
    """Along Right, Anterior and Superior, mm: where all of the body is but strays."""
    extents = [0.0, 0.0, 0.0]
    for axis, (world, _) in enumerate(geometry.axes):
        others = tuple(each for each in range(3) if each != axis)
        share = body.sum(others).cumsum() / max(1, body.sum())
        inside = (share > STRAYS) & (share < 1 - STRAYS)
        extents[world] = float(inside.sum()) * geometry.spacing[axis]
    return extents


def radiograph_view(
    grey: Shaped[np.ndarray, "rows columns"], side: int
) -> Float[Tensor, "1 side side"]:
    """A radiograph, the longer side scaled to `side` pixels."""
    low, high = np.percentile(grey, GREY_PERCENTILES)
    window = Window(float(low), float(max(high, low + 1e-6)))
    return squared(torch.from_numpy(window.normalise(grey)), side, -1.0)


def squared(
    picture: Float[Tensor, "rows columns"], side: int, fill: float
) -> Float[Tensor, "1 side side"]:
    """A picture, the longer side scaled to `side` pixels, `fill` beside it."""
    rows, columns = picture.shape
    scale = side / max(rows, columns)
    size = (max(1, round(scale * rows)), max(1, round(scale * columns)))
    small = F.interpolate(
        picture[None, None], size, mode="bilinear", antialias=True, align_corners=False
    )
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    margins = (left, side - size[1] - left, top, side - size[0] - top)
    return F.pad(small[0], margins, value=fill)
