"""Whether an image is the one of a list, if not to the bit then up to what processors differ in.

Simulated images are rounded to whole numbers, so sums in another order turn one voxel in 100,000
into its neighbour (of a radiograph one pixel in 1,000): the SHA-256 is another, and nothing that is
measured on it. For this case a list holds the image in blocks: the mean of each, and the mean step
from a voxel to the next. The means see what is moved, lighter or darker; the steps see noise and
sharpness. Between the instruction sets of one processor (`ATEN_CPU_CAPABILITY=default` and `avx2`)
they differ by 0.0001 in volumes and 0.0015 in radiographs; 1 % more noise in a CT makes 0.1.
"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from jaxtyping import Shaped

TOLERANCE = 0.01  # of a block's mean or step, in the image's own unit
DIGITS = 4


class Match(StrEnum):
    """How an image is the one that a list was made from."""

    EXACT = "exact"  # the same SHA-256
    ALIKE = "alike"  # the same in blocks
    OTHER = "other"  # not the same


def signature(voxels: Shaped[np.ndarray, "*space"], parts: int) -> list[float]:
    """An image in `parts` blocks along each axis: the means of all, then their mean steps.

    Example:
        >>> signature(np.array([[0, 0, 4, 6]]), 1)
        [2.5, 2.0]
    """
    values = np.asarray(voxels, np.float64)
    steps = np.abs(np.diff(values, axis=-1))
    return [round(mean, DIGITS) for image in (values, steps) for mean in _means(image, parts)]


def _means(values: Shaped[np.ndarray, "*space"], parts: int) -> list[float]:
    blocks = [values]
    for axis in range(values.ndim):
        blocks = [part for block in blocks for part in np.array_split(block, parts, axis)]
    return [float(block.mean()) for block in blocks if block.size]


def match(sha256: str, found: Sequence[float], *, listed: str, expected: Sequence[float]) -> Match:
    """Compare an image's hash and signature with those of a list.

    Example:
        >>> str(match("a", [1.004], listed="b", expected=[1.0]))
        'alike'
    """
    if sha256 == listed:
        return Match.EXACT
    same = len(found) == len(expected) and np.allclose(found, expected, rtol=0, atol=TOLERANCE)
    return Match.ALIKE if same else Match.OTHER


def worst(matches: Sequence[Match]) -> Match:
    """The loosest of several; of none there is nothing to doubt."""
    return max(matches, key=[*Match].index, default=Match.EXACT)
