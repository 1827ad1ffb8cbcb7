"""How good a synthetic MRI is, when the unit of both images is arbitrary."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Num

from medgen.errors import InputError
from medgen.metrics.window import K2, SIDE, Moments, luminance, mean_inside, padded

PERCENTILES = (0.5, 99.5)
NORMALISATION = (
    "each image to [0, 1] by its own 0.5 and 99.5 percentiles inside the mask, clipped; "
    "0 outside the mask; PSNR with range 1; SSIM with 7-voxel cubes, mean over the mask"
)


@dataclass(frozen=True)
class FidelityScores:
    """Agreement inside the mask after normalisation; meaningless without `NORMALISATION`.

    Attributes:
        psnr: Peak signal-to-noise ratio, dB, range 1; infinite for equals.
        ssim: Structural similarity, -1 to 1; NaN where the mask keeps to the volume's edge.
    """

    psnr: float
    ssim: float


def fidelity(
    pred: Num[np.ndarray, "i j k"], truth: Num[np.ndarray, "i j k"], mask: Bool[np.ndarray, "i j k"]
) -> FidelityScores:
    """Compare a synthetic MRI with the real one.

    Both are normalised by their own percentiles, because the units of both are arbitrary: a
    prediction that is right but for gain and offset is right. Published figures differ by more
    than 3 dB from normalisation alone, so the result states it.

    Raises:
        InputError: If an image is flat inside the mask.
    """
    p, t = (_normalised(signal, mask) for signal in (pred, truth))
    squared = float(((p - t)[mask] ** 2).mean())
    psnr = float(-10 * np.log10(squared)) if squared else float("inf")
    p, t, inside = (padded(each, SIDE) for each in (p, t, mask))  # a stack may be a few slices
    return FidelityScores(psnr, mean_inside(p, t, inside, _similarity))


def _similarity(sums: Moments) -> Float[np.ndarray, "i j k"]:
    c2 = K2**2
    structure = (2 * sums.covariance + c2) / (sums.variance_pred + sums.variance_truth + c2)
    return luminance(sums, 1.0) * structure


def _normalised(
    signal: Num[np.ndarray, "i j k"], mask: Bool[np.ndarray, "i j k"]
) -> Float[np.ndarray, "i j k"]:
    low, high = np.percentile(signal[mask], PERCENTILES)
    if low == high:
        raise InputError("an image is flat inside the mask; check the mask")
    return np.where(mask, ((signal.astype(np.float64) - low) / (high - low)).clip(0, 1), 0.0)
