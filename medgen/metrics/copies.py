"""Is a generated image a copy? It is if it lies nearer to a training image than new ones do."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from medgen.errors import UsageError

SHARE = 0.05  # of the held-out images that lie nearer to a training image than the threshold
Z = 1.959964  # of a 95 % interval

Points = Float[np.ndarray, "_ width"]


@dataclass(frozen=True)
class Copies:
    """How many images are taken for copies.

    Attributes:
        threshold: Distance to the nearest training image below which one is taken for a copy.
        share: Of the generated images that are.
        low: Lower end of its 95 % interval.
        high: Upper end.
        expected: The share of held-out images that are.
        nearest: Distance of each generated image to the nearest training image.
    """

    threshold: float
    share: float
    low: float
    high: float
    expected: float
    nearest: Float[np.ndarray, "_"]

    @property
    def is_copying(self) -> bool:
        """Whether more are taken for copies than chance allows."""
        return self.low > self.expected


def find_copies(made: Points, training: Points, held_out: Points) -> Copies:
    """Compare generated images with the training images, as held-out ones compare with them.

    Args:
        made: Generated images, as points of unit length.
        training: What the model was trained on.
        held_out: Of the same kind, and never seen.

    Raises:
        UsageError: If a set is empty.
    """
    if not (len(made) and len(training) and len(held_out)):
        raise UsageError("copies: generated, training and held-out images are all needed")
    usual = nearest(held_out, training)
    threshold = float(np.quantile(usual, SHARE))
    distances = nearest(made, training)
    flagged = int((distances < threshold).sum())
    low, high = wilson(flagged, len(made))
    expected = float((usual < threshold).mean())
    return Copies(threshold, flagged / len(made), low, high, expected, distances)


def nearest(points: Points, others: Points) -> Float[np.ndarray, "_"]:
    """Distance from each point to the nearest of the others, Euclidean."""
    squared = np.square(points).sum(1)[:, None] + np.square(others).sum(1) - 2 * points @ others.T
    distance: np.ndarray = np.sqrt(squared.min(1).clip(0))
    return distance


def as_points(pictures: Float[np.ndarray, "images rows columns"]) -> Points:
    """Pictures as points of unit length, so that brightness and contrast do not matter."""
    rows = pictures.reshape(len(pictures), -1).astype(np.float64)
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share.

    Example:
        >>> low, high = wilson(0, 100)
        >>> (round(low, 3), round(high, 3))
        (0.0, 0.037)

    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    share, z2 = hits / count, Z * Z
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z / (1 + z2 / count) * np.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
