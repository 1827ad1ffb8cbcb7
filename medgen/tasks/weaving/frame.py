"""A scan as a flow sees it, and the way back to the scan's own voxels."""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Shaped
from torch import Tensor

from medgen.data.intensity import Window, intensity_of
from medgen.data.resample import Grid, resample
from medgen.data.standard import (
    GREY_PERCENTILES,
    body_voxels,
    squared,
    standard_grid,
)
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import Modality
from medgen.tasks.generating.generator import Generator

Region = Bool[np.ndarray, "*space"]


@dataclass(frozen=True)
class Frame:
    """Where a flow sees a scan, and how its numbers map to [-1, 1].

    Attributes:
        image: The scan.
        modality: Its own.
        window: Of its numbers; `low` and `high` are -1 and 1.
        side: Pixels of the flow's square, for a radiograph.
        grid: Of the flow, for a volume.
    """

    image: MedicalImage
    modality: Modality
    window: Window
    side: int = 0
    grid: Grid | None = None

    @property
    def spacing(self) -> float | None:
        """Of a volume's voxels as the flow sees them, mm."""
        return self.grid.geometry.spacing[0] if self.grid else None

    @property
    def scale(self) -> float | None:
        """Of the voxels or pixels that the flow sees, mm; None where nobody knows."""
        if self.grid is not None or not self.image.spacing_is_known:
            return self.spacing
        return max(self.image.voxels.shape) * self.image.geometry.spacing[0] / self.side

    @property
    def seen(self) -> Float[Tensor, "1 1 *space"]:
        """The scan in [-1, 1], as the flow sees it."""
        if self.grid is None:
            grey = torch.from_numpy(self.window.normalise(self.image.voxels))
            return squared(grey, self.side, -1.0)[None]
        fill = float(self.window.low)
        volume = resample(self.image.voxels, self.image.geometry, self.grid, fill=fill)
        return torch.from_numpy(self.window.normalise(volume))[None, None]

    def region(self, share: Shaped[np.ndarray, "*voxels"]) -> Float[Tensor, "1 1 *space"]:
        """The share of a region, or of shares, in what the flow sees of each voxel."""
        there = share.astype(np.float32)
        if self.grid is None:
            return squared(torch.from_numpy(there), self.side, 0.0)[None]
        found = resample(there, self.image.geometry, self.grid, fill=0.0)
        return torch.from_numpy(found)[None, None]

    def back(self, difference: Float[Tensor, "1 1 *space"]) -> Float32[np.ndarray, "*voxels"]:
        """A difference of what the flow sees, on the scan's voxels and in its unit."""
        half = np.float32((self.window.high - self.window.low) / 2)
        if self.grid is not None:
            own = Grid(_three(self.image.voxels.shape), self.image.geometry)
            moved = resample(difference[0, 0].numpy(), self.grid.geometry, own, fill=0.0)
            return half * moved
        rows, columns = self.image.voxels.shape
        scale = self.side / max(rows, columns)
        height, width = max(1, round(scale * rows)), max(1, round(scale * columns))
        top, left = (self.side - height) // 2, (self.side - width) // 2
        part = difference[..., top : top + height, left : left + width]
        grown = F.interpolate(part, (rows, columns), mode="bilinear", align_corners=False)
        return half * grown[0, 0].numpy()


def frame_of(
    image: MedicalImage, modality: Modality, loaded: Generator, region: Region | None = None
) -> Frame:
    """How a flow sees a scan.

    A radiograph is seen whole, in the range of its middle 98 %. A volume is seen around its middle
    as in training; where a region lies outside of that, around the region.

    Args:
        image: The scan.
        modality: Its own.
        loaded: The flow and its codec.
        region: On the scan's voxels: what has to be seen; None for the whole.
    """
    codec = loaded.codecs[modality]
    if modality is Modality.XRAY:
        low, high = np.percentile(image.voxels, GREY_PERCENTILES)
        window = Window(float(low), float(max(high, low + 1e-6)))
        return Frame(image, modality, window, side=codec.frame.side)
    grid = standard_grid(image, loaded.view(modality), body_voxels(image.voxels, modality))
    frame = Frame(image, modality, intensity_of(modality, image.voxels), grid=grid)
    return frame if region is None else replace(frame, grid=_around(grid, image, region))


def _around(grid: Grid, image: MedicalImage, region: Region) -> Grid:
    """The grid moved by whole voxels, no farther than it must, so that a region is in it."""
    corners = np.argwhere(region)
    ends = np.array(
        [[low, high] for low, high in zip(corners.min(0), corners.max(0), strict=True)], float
    )
    box = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)
    index = image.geometry.index_in(grid.geometry, box)
    size, low, high = np.array(grid.shape), index.min(0), index.max(0)
    move = np.where(low < 0, np.floor(low), 0)
    move = np.where(high > size - 1, np.ceil(high - size + 1), move)
    too_large = high - low > size - 1
    move = np.where(too_large, np.round((low + high - size + 1) / 2), move)
    if not move.any():
        return grid
    affine = grid.geometry.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ move
    return Grid(grid.shape, Geometry(affine))


def _three(shape: tuple[int, ...]) -> tuple[int, int, int]:
    i, j, k = shape
    return i, j, k
