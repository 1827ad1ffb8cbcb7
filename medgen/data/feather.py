"""Regions of an image that grow, and fade at their edge."""

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
    return region if reach <= 0 else _away(region, spacing) <= reach


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
    share = np.clip(_away(region, spacing) / width, 0, 1)
    weight = ((1 + np.cos(np.pi * share)) / 2).astype(np.float32)
    weight[share >= 1] = 0  # cos(pi) in single precision is not quite -1
    return weight


def _away(region: Region, spacing: tuple[float, ...]) -> Float32[np.ndarray, "*space"]:
    """Distance of every voxel to a region, mm."""
    distance: np.ndarray = ndimage.distance_transform_edt(~region, sampling=spacing)
    return distance.astype(np.float32)
