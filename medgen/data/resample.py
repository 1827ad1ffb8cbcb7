"""Resampling: the same patient on another grid, landmark by landmark."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped

from medgen.io.geometry import Geometry

SLAB = 32  # planes resampled at once: bounds memory at about 60 MB for 256² planes


@dataclass(frozen=True)
class Grid:
    """A number of voxels and where they are.

    Attributes:
        shape: Voxels along i, j, k.
        geometry: Voxel index to RAS+ mm.
    """

    shape: tuple[int, int, int]
    geometry: Geometry


def isotropic_grid(grid: Grid, spacing: float) -> Grid:
    """The cubic RAS+ grid of this spacing (mm) that covers `grid`.

    The axes are those of `grid`, permuted and flipped to run Right, Anterior and Superior, so an
    oblique volume stays aligned with itself and nothing but the spacing is interpolated.
    """
    axes = grid.geometry.axes
    order = np.argsort([world for world, _ in axes])
    signs = np.array([axes[voxel][1] for voxel in order])
    old = grid.geometry.spacing
    directions = (grid.geometry.affine[:3, :3] / np.array(old))[:, order] * signs
    sizes = np.array([grid.shape[v] for v in order])
    extent = sizes * np.array([old[v] for v in order])
    shape = np.maximum(1, np.ceil(extent / spacing - 1e-3)).astype(int)
    middle = grid.geometry.affine @ np.append((np.array(grid.shape) - 1) / 2, 1)
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = middle[:3] - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), Geometry(affine))


def resample(
    voxels: Shaped[np.ndarray, "i j k"], source: Geometry, target: Grid, *, fill: float
) -> Float[np.ndarray, "x y z"]:
    """Interpolate `voxels` linearly at the voxel centres of another grid.

    A target coarser than the source is first averaged over the target's voxels, so that nothing
    aliases. Where the grids only differ by whole-voxel shifts, flips and permutations the result
    is exact.

    Args:
        voxels: What lies on the source grid.
        source: Where the source's voxels are.
        target: The grid to fill.
        fill: Value beyond the source, more than half a voxel away from it.
    """
    if voxels.shape == target.shape and np.array_equal(source.affine, target.geometry.affine):
        return voxels.astype(np.float32)
    index = np.linalg.inv(source.affine) @ target.geometry.affine
    index[np.abs(index) < 1e-9] = 0.0
    volume = torch.from_numpy(voxels.astype(np.float32))
    volume = antialias(volume, np.abs(index[:3, :3]).sum(axis=1))
    if (np.count_nonzero(index[:3, :3], axis=0) == 1).all():
        return resample_axes(volume.numpy(), index, target.shape, fill)
    matrix = torch.from_numpy(index)
    result = np.empty(target.shape, np.float32)
    j = torch.arange(target.shape[1], dtype=torch.float64)[:, None]
    k = torch.arange(target.shape[2], dtype=torch.float64)
    for start in range(0, target.shape[0], SLAB):
        i = torch.arange(start, min(start + SLAB, target.shape[0]), dtype=torch.float64)
        slab = sample(volume, matrix, (i[:, None, None], j, k), fill)
        result[start : start + SLAB] = slab.numpy()
    return result


def antialias(
    volume: Float[torch.Tensor, "i j k"], steps: Float[np.ndarray, "3"]
) -> Float[torch.Tensor, "i j k"]:
    """Average over as many voxels as one target voxel spans, along each axis."""
    for axis, step in enumerate(steps):
        reach = round((step - 1) / 2 + 1e-6)
        if reach < 1:
            continue
        window, pad = [1, 1, 1], [0, 0, 0]
        window[axis], pad[axis] = 2 * reach + 1, reach
        volume = F.avg_pool3d(volume[None], window, stride=1, padding=pad, count_include_pad=False)[
            0
        ]
    return volume


def resample_axes(
    volume: Float[np.ndarray, "a b c"],
    index: Float[np.ndarray, "4 4"],
    shape: tuple[int, int, int],
    fill: float,
) -> Float[np.ndarray, "i j k"]:
    """Linear interpolation between grids whose axes are parallel: one axis after the other.

    Args:
        volume: What lies on the source grid.
        index: Target index to source index; one entry a row and column, besides the shift.
        shape: Voxels of the target grid.
        fill: Value more than half a voxel beyond the source.
    """
    result = np.full(shape, fill, np.float32)
    source_of = np.abs(index[:3, :3]).argmax(axis=0)  # the source's axis of each of the target's
    block = volume.transpose(source_of)
    inside, places = [], []
    for axis, source in enumerate(source_of):
        at = index[source, 3] + index[source, axis] * np.arange(shape[axis])
        at = np.where(np.abs(at - np.rint(at)) < 1e-6, np.rint(at), at)
        size = block.shape[axis]
        known = np.flatnonzero((at >= -0.5 - 1e-6) & (at <= size - 0.5 + 1e-6))
        if not known.size:
            return result
        inside.append(slice(known[0], known[-1] + 1))
        places.append(at[known].clip(0, size - 1))
    growth = [len(at) / size for at, size in zip(places, block.shape, strict=True)]
    for axis in np.argsort(growth):  # the most shrinking first
        block = _interpolated(block, int(axis), places[axis])
    result[tuple(inside)] = block
    return result


def _interpolated(
    block: Float[np.ndarray, "a b c"], axis: int, at: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "d e f"]:
    """Planes of `block` at evenly spaced places of one axis; exact, and no copy, at whole ones."""
    below = np.floor(at).astype(int)
    share = (at - below).astype(np.float32)
    if not share.any():
        step = int(below[1] - below[0]) if len(below) > 1 else 1
        if step and (np.diff(below) == step).all():
            stop = int(below[-1]) + step
            planes = slice(int(below[0]), stop if stop >= 0 else None, step)
            return block[(slice(None),) * axis + (planes,)]
    low = block.take(below, axis)
    change = block.take(np.minimum(below + 1, block.shape[axis] - 1), axis)
    change -= low
    change *= share.reshape([-1 if a == axis else 1 for a in range(3)])
    change += low
    return change


def sample(
    volume: Float[torch.Tensor, "i j k"],
    matrix: Float[torch.Tensor, "4 4"],
    index: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    fill: float,
) -> Float[torch.Tensor, "a b c"]:
    """Trilinear interpolation of `volume` at `matrix @ index`; `fill` beyond half a voxel."""
    sizes = volume.shape
    normalised, inside = [], torch.tensor(True)
    for axis in range(3):
        at = matrix[axis, 3] + sum(matrix[axis, a] * index[a] for a in range(3))
        inside = inside & (at >= -0.5 - 1e-6) & (at <= sizes[axis] - 0.5 + 1e-6)
        normalised.append((2 * at + 1) / sizes[axis] - 1)
    points = torch.stack(torch.broadcast_tensors(*reversed(normalised)), dim=-1)
    values = F.grid_sample(
        volume[None, None],
        points[None].to(torch.float32),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )[0, 0]
    return torch.where(inside, values, torch.tensor(fill, dtype=values.dtype))
