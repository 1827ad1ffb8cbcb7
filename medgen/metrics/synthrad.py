"""How good a synthetic CT is, exactly as the SynthRAD2025 challenge computes it."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Num

from medgen.metrics.window import K2, Moments, luminance, mean_inside, padded
from medgen.modality import FACTS, Modality

WINDOW = FACTS[Modality.CT].window or (-1024.0, 3071.0)
DATA_RANGE = WINDOW[1] - WINDOW[0]
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003
SMALLEST = 97  # sides that five scales of 7-voxel cubes need


@dataclass(frozen=True)
class SynthradScores:
    """Agreement inside the mask.

    Attributes:
        mae: Mean absolute error, HU; not clipped.
        psnr: Peak signal-to-noise ratio, dB, of HU clipped to [-1024, 3071]; infinite for equals.
        ms_ssim: Multi-scale structural similarity, 0 to 1; NaN where the mask is too small or
            too near the edge to have a centre at the coarsest scale.
    """

    mae: float
    psnr: float
    ms_ssim: float


def synthrad(
    pred: Num[np.ndarray, "i j k"], truth: Num[np.ndarray, "i j k"], mask: Bool[np.ndarray, "i j k"]
) -> SynthradScores:
    """Compare a synthetic CT with the real one.

    Args:
        pred: HU.
        truth: HU.
        mask: The body; not empty.

    Source: SynthRAD2025 evaluation code, `image_metrics.py` at 17cac47.
    """
    return SynthradScores(
        mae(pred, truth, mask), psnr(pred, truth, mask), ms_ssim(pred, truth, mask)
    )


def mae(
    pred: Num[np.ndarray, "i j k"], truth: Num[np.ndarray, "i j k"], mask: Bool[np.ndarray, "i j k"]
) -> float:
    """Mean absolute error inside the mask, HU."""
    return float(np.abs(pred[mask].astype(np.float64) - truth[mask]).mean())


def psnr(
    pred: Num[np.ndarray, "i j k"], truth: Num[np.ndarray, "i j k"], mask: Bool[np.ndarray, "i j k"]
) -> float:
    """Peak signal-to-noise ratio inside the mask, dB."""
    squared = np.mean((_clipped(pred[mask]) - _clipped(truth[mask])) ** 2)
    return float(10 * np.log10(DATA_RANGE**2 / squared)) if squared else float("inf")


def ms_ssim(
    pred: Num[np.ndarray, "i j k"], truth: Num[np.ndarray, "i j k"], mask: Bool[np.ndarray, "i j k"]
) -> float:
    """Multi-scale structural similarity inside the mask.

    Textbook MS-SSIM compares luminance at the coarsest scale only. The challenge's code does so
    at every scale, with that scale's weight; so does this, to be comparable with its figures.
    """
    small, large = (padded(_masked(hu, mask), SMALLEST) for hu in (pred, truth))
    inside, product = padded(mask, SMALLEST), 1.0
    for weight in SCALE_WEIGHTS:
        score = mean_inside(small, large, inside, partial(_similarity, weight=weight))
        product *= float(np.clip(score, 0, 1))
        small, large, inside = _halved(small), _halved(large), inside[::2, ::2, ::2]
    return product


def _similarity(sums: Moments, *, weight: float) -> Float[np.ndarray, "i j k"]:
    """Luminance times contrast times structure, none of them below 0, to the scale's weight."""
    c2 = (K2 * DATA_RANGE) ** 2
    variances = sums.variance_pred + sums.variance_truth
    both = np.sqrt(sums.variance_pred.clip(0)) * np.sqrt(sums.variance_truth.clip(0))
    contrast = ((2 * both + c2) / (variances + c2)).clip(0)
    structure = ((sums.covariance + c2 / 2) / (both + c2 / 2)).clip(0)
    return (luminance(sums, DATA_RANGE).clip(0) * contrast * structure) ** weight


def _clipped(hu: Num[np.ndarray, "*space"]) -> Float[np.ndarray, "*space"]:
    return hu.astype(np.float64).clip(*WINDOW)


def _masked(
    hu: Num[np.ndarray, "i j k"], mask: Bool[np.ndarray, "i j k"]
) -> Float[np.ndarray, "i j k"]:
    """Clipped, air outside the mask, and shifted so that air is 0."""
    return np.where(mask, _clipped(hu) - WINDOW[0], 0.0)


def _halved(values: Float[np.ndarray, "x y z"]) -> Float[np.ndarray, "i j k"]:
    """Mean of each even voxel and the one before it, along each axis; before the first is 0."""
    for axis in range(3):
        lines = np.moveaxis(values, axis, 0)
        before = np.zeros_like(lines[::2])
        before[1:] = lines[1:-1:2]
        values = np.moveaxis((lines[::2] + before) / 2, 0, axis)
    return values
