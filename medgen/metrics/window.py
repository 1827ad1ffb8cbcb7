"""What two volumes have in common around each voxel: the sums that SSIM is made of."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Num, Shaped
from scipy.ndimage import uniform_filter1d

SIDE = 7  # voxels along each axis of the cube around a voxel
RADIUS = SIDE // 2
K1, K2 = 0.01, 0.03  # Wang et al. 2004


@dataclass(frozen=True)
class Moments:
    """Means, sample variances and covariance inside every cube.

    Attributes:
        mean_pred: And so on; each of shape (i - 6, j - 6, k - 6): cubes that lie inside whole.
    """

    mean_pred: Float[np.ndarray, "i j k"]
    mean_truth: Float[np.ndarray, "i j k"]
    variance_pred: Float[np.ndarray, "i j k"]
    variance_truth: Float[np.ndarray, "i j k"]
    covariance: Float[np.ndarray, "i j k"]


Similarity = Callable[[Moments], Float[np.ndarray, "i j k"]]
"""A number for every cube; 1 where both volumes are the same."""


def moments(pred: Num[np.ndarray, "x y z"], truth: Num[np.ndarray, "x y z"]) -> Moments:
    """Moments in every 7 x 7 x 7 cube that fits."""
    unbiased = SIDE**3 / (SIDE**3 - 1)
    p, t = pred.astype(np.float64), truth.astype(np.float64)
    mean_p, mean_t = _cube_mean(p), _cube_mean(t)
    return Moments(
        mean_p,
        mean_t,
        unbiased * (_cube_mean(p * p) - mean_p**2),
        unbiased * (_cube_mean(t * t) - mean_t**2),
        unbiased * (_cube_mean(p * t) - mean_p * mean_t),
    )


def padded(values: Shaped[np.ndarray, "x y z"], side: int) -> Shaped[np.ndarray, "i j k"]:
    """At least `side` voxels along each axis: what is thinner is repeated at its ends."""
    missing = [max(0, side - length) for length in values.shape]
    return np.pad(values, [(m // 2, m - m // 2) for m in missing], mode="edge")


def luminance(sums: Moments, data_range: float) -> Float[np.ndarray, "i j k"]:
    """How alike the means are; 1 where they are equal."""
    c1 = (K1 * data_range) ** 2
    p, t = sums.mean_pred, sums.mean_truth
    return (2 * p * t + c1) / (p * p + t * t + c1)


def mean_inside(
    pred: Num[np.ndarray, "x y z"],
    truth: Num[np.ndarray, "x y z"],
    mask: Bool[np.ndarray, "x y z"],
    similarity: Similarity,
) -> float:
    """Mean of a similarity over the cubes whose centre is in the mask; NaN if there is none.

    Only the box around the mask is computed, which changes nothing but the time.
    """
    centres = mask[(slice(RADIUS, -RADIUS),) * 3]
    if not centres.any():
        return float("nan")
    box = tuple(_span(places) for places in np.nonzero(centres))
    cubes = tuple(slice(part.start, part.stop + 2 * RADIUS) for part in box)
    return float(similarity(moments(pred[cubes], truth[cubes]))[centres[box]].mean())


def _span(places: Int[np.ndarray, " n"]) -> slice:
    return slice(int(places.min()), int(places.max()) + 1)


def _cube_mean(values: Float[np.ndarray, "x y z"]) -> Float[np.ndarray, "i j k"]:
    for axis in range(3):
        values = uniform_filter1d(values, SIDE, axis=axis)
    return values[(slice(RADIUS, -RADIUS),) * 3]
