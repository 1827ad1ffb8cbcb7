"""How far apart two sets of images are, by what features of them are distributed like.

A distance says nothing without the name of its features, the number of images, and the floor: the
distance of two sets of real ones. Few images make every Fréchet distance too large, so only sets
of one size are compared.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from medgen.errors import UsageError

RESAMPLES = 200
SEED = 0
LEVEL = 0.95

Features = Float[np.ndarray, "_ width"]
Distance = Callable[[Features, Features], float]


def frechet_distance(one: Features, other: Features) -> float:
    """Squared 2-Wasserstein distance of the Gaussians that fit the features; 0 or more.

    Raises:
        UsageError: If a set has fewer than two images.

    Example:
        >>> points = np.random.default_rng(0).normal(size=(50, 3))
        >>> round(frechet_distance(points, points + 2.0), 6)
        12.0

    Source: Heusel et al. 2017, equation 6 (arXiv:1706.08500), whose features are another network's.
    """
    _check(one, other)
    mean, others_mean = one.mean(0), other.mean(0)
    spread, others_spread = np.cov(one.T, ddof=1), np.cov(other.T, ddof=1)
    spread, others_spread = np.atleast_2d(spread), np.atleast_2d(others_spread)
    # The trace of the product's square root is the sum of the roots of its eigenvalues, and these
    # are those of the symmetric matrix root(A) B root(A).
    values, vectors = np.linalg.eigh(spread)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root @ others_spread @ root).clip(0)).sum()
    apart = float(np.square(mean - others_mean).sum())
    return max(0.0, apart + float(np.trace(spread) + np.trace(others_spread) - 2 * overlap))


def kernel_distance(one: Features, other: Features) -> float:
    """Unbiased squared maximum mean discrepancy with a cubic kernel; about 0 for equal sets.

    Raises:
        UsageError: If a set has fewer than two images.

    Source: Bińkowski et al. 2018, section 4 (arXiv:1801.01401).
    """
    _check(one, other)
    within = _mean_off_diagonal(_kernel(one, one)) + _mean_off_diagonal(_kernel(other, other))
    return float(within - 2 * _kernel(one, other).mean())


def halves_interval(
    distance: Distance, one: Features, other: Features, *, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Where the distance lies in 95 of 100 draws of half of each set, without replacement.

    Drawing with replacement would put copies into a set, and these are closer to one another than
    images are. Half the images make the distance larger: the interval is one of spread, not about
    the distance of the whole sets.
    """
    draw = np.random.default_rng(SEED)
    found = [
        distance(
            one[draw.permutation(len(one))[: len(one) // 2]],
            other[draw.permutation(len(other))[: len(other) // 2]],
        )
        for _ in range(resamples)
    ]
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(found, [tail, 100 - tail])
    return float(low), float(high)


def _kernel(one: Features, other: Features) -> Float[np.ndarray, "_ _"]:
    kernel: np.ndarray = (one @ other.T / one.shape[1] + 1) ** 3
    return kernel


def _mean_off_diagonal(kernel: Float[np.ndarray, "_ _"]) -> float:
    count = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))


def _check(one: Features, other: Features) -> None:
    if min(len(one), len(other)) < 2:
        raise UsageError(f"{len(one)} and {len(other)} images: a distance needs two of each")
