"""Companding: more of the range for the values among which a small difference counts."""

from dataclasses import dataclass

from medgen.errors import UsageError
from medgen.shapes import Image


@dataclass(frozen=True)
class Companding:
    """The line of slope 1, but steeper between two values; exactly invertible.

    Fluid and muscle are 30 HU apart, air and bone 2000: to a mean error over the scanner's whole
    range, the first is nothing.

    Attributes:
        low: From here on it is steeper; of the image's [-1, 1].
        high: Up to here.
        gain: The slope between; 1 leaves images as they are.

    Source: Bennett 1948 (doi:10.1002/j.1538-7305.1948.tb01340.x), for speech.

    Example:
        >>> import torch
        >>> soft = Companding(-0.5, 0.5, gain=4.0)
        >>> soft.compress(torch.tensor([-1.0, 0.0, 1.0]).view(1, 1, 3)).flatten().tolist()
        [-1.0, 1.5, 4.0]
    """

    low: float = -1.0
    high: float = 1.0
    gain: float = 1.0

    def __post_init__(self) -> None:
        """Raises UsageError for a curve that cannot be inverted, or that bends nowhere."""
        if not self.gain > 0 or not self.low < self.high:
            raise UsageError(
                f"companding from {self.low:g} to {self.high:g} by {self.gain:g}: "
                "choose low below high, and a gain above 0"
            )

    def compress(self, image: Image) -> Image:
        """The image as the codec sees it."""
        if self.gain == 1:
            return image
        return image + (self.gain - 1) * (image.clamp(self.low, self.high) - self.low)

    def expand(self, seen: Image) -> Image:
        """The inverse of `compress`."""
        if self.gain == 1:
            return seen
        steep = (seen - self.low).clamp(0, self.gain * (self.high - self.low))
        return seen - (1 - 1 / self.gain) * steep
