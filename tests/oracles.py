"""Slow, obvious re-implementations, written from the definitions and not from medgen's code."""

from collections.abc import Iterator

import numpy as np


def cubes(mask: np.ndarray) -> Iterator[tuple[slice, ...]]:
    """The 7-voxel cube around every voxel of a mask, where it fits into the volume."""
    for centre in np.argwhere(mask):
        if (centre >= 3).all() and (centre + 4 <= mask.shape).all():
            yield tuple(slice(c - 3, c + 4) for c in centre)


def ssim_parts(one: np.ndarray, other: np.ndarray, data_range: float) -> tuple[float, float, float]:
    """Luminance, contrast and structure of two cubes (Wang et al. 2004, equations 6, 9 and 10)."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    (variance1, covariance), (_, variance2) = np.cov(one.ravel(), other.ravel())
    mean1, mean2 = one.mean(), other.mean()
    sd1, sd2 = np.sqrt(variance1), np.sqrt(variance2)
    return (
        (2 * mean1 * mean2 + c1) / (mean1**2 + mean2**2 + c1),
        (2 * sd1 * sd2 + c2) / (variance1 + variance2 + c2),
        (covariance + c2 / 2) / (sd1 * sd2 + c2 / 2),
    )


def ssim(one: np.ndarray, other: np.ndarray, mask: np.ndarray) -> float:
    """Mean structural similarity, range 1, over the mask."""
    return float(np.mean([np.prod(ssim_parts(one[c], other[c], 1.0)) for c in cubes(mask)]))


def synthrad_ms_ssim(one: np.ndarray, other: np.ndarray, mask: np.ndarray) -> float:
    """MS-SSIM as PAPERS 7.1 says it in words, voxel by voxel; luminance at every scale."""
    side = [max(97, n) for n in mask.shape]
    before = [(wide - n) // 2 for wide, n in zip(side, mask.shape, strict=True)]
    nearest = np.ix_(
        *(
            [min(max(i - b, 0), n - 1) for i in range(wide)]
            for wide, b, n in zip(side, before, mask.shape, strict=True)
        )
    )
    volumes = [
        (np.where(mask, np.clip(v, -1024, 3071), -1024) + 1024)[nearest] for v in (one, other)
    ]
    inside, product = mask[nearest], 1.0
    for weight in (0.0448, 0.2856, 0.3001, 0.2363, 0.1333):
        scores = []
        for cube in cubes(inside):
            parts = ssim_parts(volumes[0][cube], volumes[1][cube], 4095.0)
            scores.append(np.prod([max(part, 0.0) ** weight for part in parts]))
        product *= min(max(float(np.mean(scores)), 0.0), 1.0)
        volumes, inside = [halve(v) for v in volumes], inside[::2, ::2, ::2]
    return product


def halve(volume: np.ndarray) -> np.ndarray:
    """Every second voxel of the volume under a 2 x 2 x 2 box that ends in it; outside is 0."""
    out = np.zeros([(n + 1) // 2 for n in volume.shape])
    for place in np.ndindex(*out.shape):
        box = tuple(slice(max(2 * p - 1, 0), 2 * p + 1) for p in place)
        out[place] = volume[box].sum() / 8
    return out


def info_nce_by_loops(
    one: list[list[float]], other: list[list[float]], temperature: float, only: int | None = None
) -> float:
    """The seed's central alignment loss L_{A,B}, its mean over rows or that of one row."""
    losses = []
    for i, asking in enumerate(one):
        terms = [np.exp(np.dot(asking, answer) / temperature) for answer in other]
        losses.append(-np.log(terms[i] / sum(terms)))
    return float(np.mean(losses) if only is None else losses[only])


def correlation_by_loops(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson's correlation of every column of one with every column of the other."""
    table = np.empty((one.shape[1], other.shape[1]))
    for i, j in np.ndindex(*table.shape):
        table[i, j] = np.corrcoef(one[:, i], other[:, j])[0, 1]
    return table
