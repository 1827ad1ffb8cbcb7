"""The connected pieces of a volume's voxels, and how large each is."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage


@dataclass(frozen=True)
class Pieces:
    """What hangs together.

    Attributes:
        labels: The number of each voxel's piece; 0 outside.
        numbers: Of the pieces.
        ml: Volume of each.
    """

    labels: Int[np.ndarray, "i j k"]
    numbers: Int[np.ndarray, "pieces"]
    ml: Float[np.ndarray, "pieces"]

    @property
    def where(self) -> Bool[np.ndarray, "i j k"]:
        """The voxels of all of them."""
        found: Bool[np.ndarray, "i j k"] = self.labels > 0
        return found

    def only(self, chosen: Bool[np.ndarray, "pieces"]) -> "Pieces":
        """Some of them, with their numbers."""
        numbers = self.numbers[chosen]
        labels = np.where(np.isin(self.labels, numbers), self.labels, 0)
        return Pieces(labels, numbers, self.ml[chosen])


def pieces_of(where: Bool[np.ndarray, "i j k"], spacing: float) -> Pieces:
    """The pieces of some voxels, which touch by their faces.

    Args:
        where: The voxels.
        spacing: Of cubic voxels, mm.
    """
    labels, count = ndimage.label(where)
    numbers = np.arange(1, count + 1)
    volumes = ndimage.sum_labels(where, labels, numbers) * spacing**3 / 1000
    return Pieces(labels, numbers, volumes)


def ball(radius: float) -> Bool[np.ndarray, "i j k"]:
    """The voxels within a radius, in voxels, of the middle one: what a piece has room for."""
    reach = int(radius)
    grid = np.mgrid[-reach : reach + 1, -reach : reach + 1, -reach : reach + 1]
    within: Bool[np.ndarray, "i j k"] = (grid**2).sum(0) <= radius**2
    return within
