"""Companding: more of the range for the values among which a small difference counts."""

from dataclasses import dataclass
from itertools import pairwise

from medgen.errors import UsageError
from medgen.shapes import Image


@dataclass(frozen=True)
class Companding:
    """The line of slope 1, but of other slopes between some values; exactly invertible.

    Fluid and muscle are 30 HU apart, air and bone 2000: to a mean error over the scanner's whole
    range, the first is nothing.

    Attributes:
        at: Where it bends; values of the image's [-1, 1], rising.
        slopes: From each to the next. None leaves images as they are.

    Source: Bennett 1948 (doi:10.1002/j.1538-7305.1948.tb01340.x), for speech.

    Example:
        >>> import torch
        >>> soft = Companding(at=(-0.5, 0.5), slopes=(4.0,))
        >>> soft.compress(torch.tensor([-1.0, 0.0, 1.0]).view(1, 1, 3)).flatten().tolist()
        [-1.0, 1.5, 4.0]
    """

    at: tuple[float, ...] = ()
    slopes: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Raises UsageError for a curve that cannot be inverted, or slopes that fit no bends."""
        if len(self.slopes) != max(len(self.at) - 1, 0) or len(self.at) == 1:
            raise UsageError(
                f"companding: {len(self.at)} bends have one slope less than that, "
                f"and there are {len(self.slopes)}"
            )
        if not all(slope > 0 for slope in self.slopes):
            raise UsageError("companding: choose slopes above 0")
        if not all(low < high for low, high in pairwise(self.at)):
            raise UsageError("companding: choose bends that rise")

    def compress(self, image: Image) -> Image:
        """The image as the codec sees it."""
        seen = image
        for (low, high), slope in zip(pairwise(self.at), self.slopes, strict=True):
            seen = seen + (slope - 1) * (image.clamp(low, high) - low)
        return seen

    def expand(self, seen: Image) -> Image:
        """The inverse of `compress`."""
        image, start = seen, self.at[0] if self.at else 0.0
        for (low, high), slope in zip(pairwise(self.at), self.slopes, strict=True):
            rise = slope * (high - low)
            image = image - (1 - 1 / slope) * (seen - start).clamp(0, rise)
            start += rise
        return image
