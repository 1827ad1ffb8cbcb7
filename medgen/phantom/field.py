"""Smooth random fields: what varies slowly in a body or a scanner."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

Shape = Sequence[int]


def smooth_field(
    shape: Shape, scale: float, generator: Generator, *, channels: int = 1
) -> Float[Tensor, "channels i j k"]:
    """Unit Gaussian noise on a coarse grid, interpolated to `shape`.

    Args:
        shape: Voxels along i, j, k.
        scale: Distance between the points of the coarse grid, in voxels.
        generator: Source of the noise.
        channels: Number of independent fields.
    """
    coarse = [max(2, round(size / scale) + 1) for size in shape]
    noise = torch.randn(1, channels, *coarse, generator=generator)
    return F.interpolate(noise, list(shape), mode="trilinear", align_corners=True)[0]


def uniform(low: float, high: float, generator: Generator) -> float:
    """One number between `low` and `high`."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def normal(generator: Generator) -> float:
    """One unit Gaussian number."""
    return float(torch.randn((), generator=generator))


def chance(probability: float, generator: Generator) -> bool:
    """True with this probability."""
    return uniform(0, 1, generator) < probability
