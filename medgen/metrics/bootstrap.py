"""How sure a mean over patients is: resample the patients, look at the spread of the mean."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from medgen.errors import UsageError

RESAMPLES = 10_000
AT_ONCE = 2**22  # draws in memory
SEED = 0
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over patients, and how far it may be off.

    Attributes:
        mean: Mean over the patients that have a value; infinite, without an interval, if one is.
        sd: Standard deviation over them (n - 1); NaN for fewer than two.
        low: Lower end of the 95 % bootstrap interval of the mean; NaN for fewer than two.
        high: Upper end.
        count: Number of patients.
    """

    mean: float
    sd: float
    low: float
    high: float
    count: int


def interval(values: Sequence[float], *, resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """Mean, SD and percentile bootstrap interval; same values and seed, same answer.

    Args:
        values: One number a patient. NaN: the patient has none (no bone in the mask, say).
        resamples: How often the patients are drawn again.
        seed: Of the draws.

    Example:
        >>> interval([1.0, 2.0, 3.0]).mean
        2.0
    """
    known = np.array([value for value in values if not math.isnan(value)], dtype=np.float64)
    if len(known) < 2 or not np.isfinite(known).all():
        mean = float(known.mean()) if len(known) else math.nan
        return Interval(mean, math.nan, math.nan, math.nan, len(known))
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(_resampled_means(known, resamples, seed), [tail, 100 - tail])
    return Interval(
        float(known.mean()), float(known.std(ddof=1)), float(low), float(high), len(known)
    )


def paired_interval(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """Interval of the mean of `ours - theirs`, patient by patient.

    For an error, ours is better with 95 % confidence if `high` is below 0. Patients with a NaN
    in either are left out.

    Raises:
        UsageError: If the two do not have the same number of patients.
    """
    if len(ours) != len(theirs):
        raise UsageError(f"{len(ours)} and {len(theirs)} patients cannot be paired; give the same")
    return interval([a - b for a, b in zip(ours, theirs, strict=True)])


def _resampled_means(
    values: Float[np.ndarray, " patients"], resamples: int, seed: int
) -> Float[np.ndarray, " resamples"]:
    """A part of them at a time: all draws of many patients would not fit into memory."""
    random = np.random.default_rng(seed)
    part = max(1, AT_ONCE // len(values))
    sizes = [min(part, resamples - start) for start in range(0, resamples, part)]
    draws = (random.integers(len(values), size=(size, len(values))) for size in sizes)
    return np.concatenate([values[drawn].mean(axis=1) for drawn in draws])
