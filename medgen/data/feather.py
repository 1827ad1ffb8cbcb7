"""Regions of an image that grow, and fade at their edge."""

import math

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

Region = Bool[np.ndarray, "*space"]


def dilated(region: Region, reach: float, spacing: tuple[float, ...]) -> Region:
    """A region and all that is no farther from it than `reach`.

    Args:
        region: Not empty.
        reach: mm; 0 leaves it as it is.
        spacing: Of the voxels or pixels, mm.
    """
    if reach <= 0:
        return region
    box, grown = box_around(region, reach, spacing), region.copy()
    grown[box] = _away(region[box], spacing) <= reach
    return grown


def feathered(
    region: Region, width: float, spacing: tuple[float, ...]
) -> Float32[np.ndarray, "*space"]:
    """How much each voxel belongs to a region: 1 in it, less around it, 0 from `width` on.

    The fall is half a cosine: nothing bends where it begins and where it ends.

    Args:
        region: Not empty.
        width: mm; 0 is a sharp edge.
        spacing: Of the voxels or pixels, mm.

    Example:
        >>> feathered(np.array([True, False, False, False]), 2.0, (1.0,)).round(3).tolist()
        [1.0, 0.5, 0.0, 0.0]
    """
    if width <= 0:
        return region.astype(np.float32)
    box, weight = box_around(region, width, spacing), np.zeros(region.shape, np.float32)
    share = np.clip(_away(region[box], spacing) / width, 0, 1)
    weight[box] = (1 + np.cos(np.pi * share)) / 2
    weight[box][share >= 1] = 0  # cos(pi) in single precision is not quite -1
    return weight


def box_around(region: Region, reach: float, spacing: tuple[float, ...]) -> tuple[slice, ...]:
    """The part of an image that holds a region and all that is no farther from it than `reach`.

    Distances to the region are the same in it as in the whole image, and soon known.

    Args:
        region: Not empty.
        reach: mm.
        spacing: Of the voxels or pixels, mm.

    Example:
        >>> box_around(np.array([False, False, False, True, True]), 1.5, (1.0,))
        (slice(1, 5, None),)
    """
    (tight,) = ndimage.find_objects(region, max_label=1)
    margins = [math.ceil(reach / step) for step in spacing]
    return tuple(
        slice(max(side.start - margin, 0), min(side.stop + margin, length))
        for side, margin, length in zip(tight, margins, region.shape, strict=True)
    )


def _away(region: Region, spacing: tuple[float, ...]) -> Float32[np.ndarray, "*space"]:
    """Distance of every voxel to a region, mm."""
    distance: np.ndarray = ndimage.distance_transform_edt(~region, sampling=spacing)
    return distance.astype(np.float32)
