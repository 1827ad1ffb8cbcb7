"""Intensity: invertible maps between a scanner's numbers and [-1, 1]."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from medgen.modality import Modality

Voxels = Shaped[np.ndarray, "*space"]
Normalised = Float[np.ndarray, "*space"]


class AbstractIntensity(ABC):
    """A map to [-1, 1] and back; values outside the window are clipped."""

    @abstractmethod
    def normalise(self, voxels: Voxels) -> Normalised:
        """From the image's unit to [-1, 1], float32."""

    @abstractmethod
    def denormalise(self, image: Normalised) -> Normalised:
        """From [-1, 1] to the image's unit, float32."""


@dataclass(frozen=True)
class Window(AbstractIntensity):
    """The straight line that takes `low` to -1 and `high` to 1.

    Example:
        >>> ct = Window(-1024.0, 3071.0)
        >>> ct.denormalise(ct.normalise(np.array([-1000.0, 40.0]))).round(2).tolist()
        [-1000.0, 40.0]
    """

    low: float
    high: float

    def normalise(self, voxels: Voxels) -> Normalised:
        """From the image's unit to [-1, 1], float32."""
        scaled = (voxels.astype(np.float32) - self.low) * (2 / (self.high - self.low)) - 1
        return scaled.clip(-1, 1)

    def denormalise(self, image: Normalised) -> Normalised:
        """From [-1, 1] to the image's unit, float32."""
        clipped = image.astype(np.float32).clip(-1, 1)
        return (clipped + 1) * ((self.high - self.low) / 2) + self.low


HOUNSFIELD = Window(-1024.0, 3071.0)
"""The CT window of `modality.FACTS`; inside it, HU survive to 0.5."""

HEADROOM = 1.5  # bright vessels and surface coils exceed the 99th percentile by about half


def mri_window(voxels: Voxels) -> Window:
    """The window of one MRI: from 0, or its least value, to 1.5 times its bright percentile.

    The percentile is the 99th of the foreground, the voxels above 5 % of the 99.9th of all; so it
    does not change with the amount of air around the patient.
    """
    values = voxels[:: max(1, voxels.shape[0] // 64)].astype(np.float32).ravel(order="K")
    low = min(0.0, float(np.percentile(values, 0.1)))
    values = values - low
    foreground = values[values > 0.05 * np.percentile(values, 99.9)]
    bright = float(np.percentile(foreground, 99)) if foreground.size else 0.0
    return Window(low, low + HEADROOM * (bright or float(np.ptp(voxels))))


def intensity_of(modality: Modality, voxels: Voxels) -> Window:
    """The map for an image of this modality."""
    return HOUNSFIELD if modality is Modality.CT else mri_window(voxels)
