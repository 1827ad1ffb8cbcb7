"""Hounsfield units as the 16-bit integers that files hold."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int16, Shaped


@dataclass(frozen=True)
class StoredHU:
    """What is written for a CT.

    Attributes:
        voxels: HU, rounded to the nearest integer.
        clipped: How many voxels were outside what 16 bits hold.
    """

    voxels: Int16[np.ndarray, "*space"]
    clipped: int


def stored_hu(hu: Shaped[np.ndarray, "*space"]) -> StoredHU:
    """Round to integers and clip to [-32768, 32767].

    Example:
        >>> stored_hu(np.array([-1000.4, 39.6, 1e6])).voxels.tolist()
        [-1000, 40, 32767]
    """
    if hu.dtype == np.int16:
        return StoredHU(hu, 0)
    low, high = np.iinfo(np.int16).min, np.iinfo(np.int16).max
    rounded = np.rint(hu) if hu.dtype.kind == "f" else hu
    clipped = int(np.count_nonzero((rounded < low) | (rounded > high)))
    return StoredHU(np.clip(rounded, low, high).astype(np.int16), clipped)
