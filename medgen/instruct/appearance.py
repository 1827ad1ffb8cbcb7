"""How one anatomy can look: exposure, contrast, noise and sharpness, which say nothing of it."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

PLAIN = "plain"
MODES = {2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True)
class Appearance:
    """A change of how an image looks; black and white stay, as windows take them from percentiles.

    Attributes:
        gamma: Exponent of the grey levels in [0, 1]: above 1 darkens.
        curve: In [-1, 1]: above 0 steepens the middle greys, below 0 flattens them.
        noise: Standard deviation of what is added, in [-1, 1].
        coarse: Pixels along each axis that become one, and are interpolated again.
    """

    gamma: float = 1.0
    curve: float = 0.0
    noise: float = 0.0
    coarse: int = 1

    def __call__(
        self, image: Float[Tensor, "1 *space"], generator: Generator
    ) -> Float[Tensor, "1 *space"]:
        """The image in [-1, 1] with this look.

        Example:
            >>> grey = torch.tensor([[-1.0, 0.0, 1.0]])
            >>> Appearance(gamma=2)(grey, Generator())
            tensor([[-1.0000, -0.5000,  1.0000]])
        """
        level = ((image + 1) / 2).clamp(0, 1) ** self.gamma
        level = level - self.curve * torch.sin(2 * math.pi * level) / (2 * math.pi)
        changed = 2 * level - 1
        if self.coarse > 1:
            changed = coarsened(changed, self.coarse)
        if self.noise:
            drawn = torch.randn(changed.shape, generator=generator)
            changed = changed + self.noise * drawn.to(changed)
        return changed.clamp(-1, 1)


def coarsened(image: Float[Tensor, "1 *space"], factor: int) -> Float[Tensor, "1 *space"]:
    """Averaged over cells of so many pixels along each axis, and interpolated back."""
    size = [max(1, round(length / factor)) for length in image.shape[1:]]
    small = F.interpolate(image[None], size, mode="area")
    back = F.interpolate(small, image.shape[1:], mode=MODES[image.ndim - 1], align_corners=False)
    return back[0]


APPEARANCES = {
    PLAIN: Appearance(),
    "dark": Appearance(gamma=1.8),
    "bright": Appearance(gamma=0.55),
    "hard": Appearance(curve=0.8),
    "flat": Appearance(curve=-0.8),
    "noisy": Appearance(noise=0.15),
    "coarse": Appearance(coarse=6),
    "dark and noisy": Appearance(gamma=1.5, noise=0.1),
}
"""Looks that training gives to images, by name."""
