"""Where a volume was filled up: resampling makes of a scan a slanted block in a box of zeros.

Shown as it is, the wall of the block looks like the skin, or like bone between marrow and air.
"""

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy import ndimage

LEAST = 0.005  # share of a volume that padding is
FLAT = 0.7  # share of its wall in three directions; of padded scans .8 to 1, of heads .1 to .4
DEGREES = 12.0  # within which walls have one direction
COARSE = 64  # samples along an axis
SMOOTH = 2.0  # of them, deviation of the blur that gives a wall its direction
TRIED = 200  # directions


def continued(
    voxels: Shaped[np.ndarray, "i j k"], spacing: tuple[float, float, float]
) -> tuple[Shaped[np.ndarray, "i j k"], Bool[np.ndarray, "i j k"]]:
    """A volume whose padding goes on as what was measured next to it.

    Args:
        voxels: Of any unit.
        spacing: mm.

    Returns:
        The volume, and where it tells nothing: the padding that no measured voxel touches.
    """
    padding = padding_of(voxels)
    if not padding.any():
        return voxels, padding
    nearest = ndimage.distance_transform_edt(
        padding, sampling=spacing, return_distances=False, return_indices=True
    )
    touched = ndimage.binary_dilation(~padding, np.ones((3, 3, 3)))
    return voxels[tuple(nearest)], ~touched


def padding_of(voxels: Shaped[np.ndarray, "i j k"]) -> Bool[np.ndarray, "i j k"]:
    """Voxels of exactly the lowest value, from the border inwards, up to flat walls.

    Air that was set to zero ends at the skin instead, which is not flat.
    """
    lowest = voxels == voxels.min()
    steps = [max(1, size // COARSE) for size in lowest.shape]
    coarse = lowest[tuple(slice(None, None, step) for step in steps)]
    enough = lowest.mean() >= LEAST and min(coarse.shape) > 1
    if enough and _flatness(~_from_border(coarse), steps) >= FLAT:
        return _from_border(lowest)
    return np.zeros_like(lowest)


def _from_border(lowest: Bool[np.ndarray, "i j k"]) -> Bool[np.ndarray, "i j k"]:
    """What of it hangs together with the border of the volume."""
    labels, count = ndimage.label(lowest)
    hangs = np.zeros(count + 1, bool)
    for axis in range(3):
        hangs[labels.take([0, -1], axis)] = True
    hangs[0] = False
    return hangs[labels]


def _flatness(block: Bool[np.ndarray, "i j k"], steps: list[int]) -> float:
    """Share of the block's wall inside the volume that lies in three directions at most.

    Args:
        block: Not the padding.
        steps: Distances of its samples along the axes, of any unit.
    """
    coarse = block.astype(np.float32)
    wall = (coarse > 0) & (ndimage.minimum_filter(coarse, 3, mode="nearest") == 0)
    blurred = ndimage.gaussian_filter(coarse, SMOOTH, mode="nearest")
    slopes = [np.gradient(blurred, step, axis=axis)[wall] for axis, step in enumerate(steps)]
    normals = np.stack(slopes, axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True).clip(min=1e-9)
    if not len(normals):
        return 0.0
    left = normals
    for _ in range(3):
        if len(left):
            left = left[~_most_alike(left)]
    return 1 - len(left) / len(normals)


def _most_alike(normals: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, "n"]:
    """Which of the normals have the direction that most of them have."""
    tried = normals[:: -(-len(normals) // TRIED)]
    alike = np.abs(normals @ tried.T) > np.cos(np.deg2rad(DEGREES))
    return alike[:, alike.sum(axis=0).argmax()]
