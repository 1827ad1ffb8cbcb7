"""Make sigma honest: the share of voxels within two sigma is what it claims to be."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num

from medgen.errors import InputError

COVERAGE = 0.945  # two standard deviations of errors with tails a little heavier than Gaussian
BINS = 50


@dataclass(frozen=True)
class Calibration:
    """Turns the spread of samples into sigma: sigma² = (scale x spread)² + floor².

    Attributes:
        scale: How much too small the spread is.
        floor: What remains where all samples agree; unit of the image.

    Example:
        >>> float(Calibration(scale=2.0, floor=8.0).sigma(np.array(3.0)))
        10.0
    """

    scale: float
    floor: float

    def sigma(self, spread: Num[np.ndarray, "*space"]) -> Float[np.ndarray, "*space"]:
        """Sigma of each voxel, from the standard deviation over samples."""
        return np.asarray(np.hypot(self.scale * spread, self.floor))


def coverage(error: Num[np.ndarray, "*space"], sigma: Num[np.ndarray, "*space"]) -> float:
    """Share of voxels whose absolute error is at most two sigma."""
    return float((np.abs(error) <= 2 * sigma).mean())


def fit_calibration(
    error: Num[np.ndarray, "*space"],
    spread: Num[np.ndarray, "*space"],
    *,
    target: float = COVERAGE,
) -> Calibration:
    """Fit scale and floor to voxels whose truth is known.

    Voxels are sorted by spread into bins, each with as many. Half the `target` quantile of a
    bin's errors is the sigma it needs; scale and floor are the least-squares line through the
    squares, weighted so that relative errors count. A common factor then makes the coverage of
    all voxels exact.

    Args:
        error: Prediction minus truth, on training patients; any shape.
        spread: Standard deviation over samples, same shape, not negative.
        target: Share of voxels that shall be within two sigma.

    Raises:
        InputError: If there are too few voxels, or the prediction has no error.
    """
    from scipy.optimize import nnls  # takes a while, and translating only applies what was fitted

    wrong, spreads = np.abs(error).ravel().astype(np.float64), spread.ravel().astype(np.float64)
    if wrong.size < 2 * BINS:
        raise InputError(f"{wrong.size} voxels are too few to calibrate sigma; give more patients")
    bins = np.array_split(np.argsort(spreads, kind="stable"), BINS)
    needed = np.array([np.quantile(wrong[part], target) / 2 for part in bins])
    if not needed.any():
        raise InputError("the prediction has no error; sigma cannot be calibrated on it")
    squares = np.array([[(spreads[part] ** 2).mean(), 1.0] for part in bins])
    weights = 1 / np.maximum(needed, needed.max() * 1e-3) ** 2
    (scale2, floor2), _ = nnls(squares * weights[:, None], needed**2 * weights)
    return _exact(
        Calibration(float(np.sqrt(scale2)), float(np.sqrt(floor2))), wrong, spreads, target
    )


def _exact(
    rough: Calibration,
    wrong: Float[np.ndarray, " voxels"],
    spreads: Float[np.ndarray, " voxels"],
    target: float,
) -> Calibration:
    """The calibration times the factor that makes the coverage of these voxels the target."""
    sigma = np.maximum(rough.sigma(spreads), np.finfo(np.float64).tiny)
    factor = float(np.quantile(wrong / (2 * sigma), target, method="higher"))
    factor *= 1 + 1e-9  # the voxel at the quantile is inside, whatever the rounding
    return Calibration(rough.scale * factor, rough.floor * factor)
