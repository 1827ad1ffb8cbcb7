"""Smooth random fields: what varies slowly in a body or a scanner."""

import hashlib
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

Shape = Sequence[int]


def smooth_field(
    shape: Shape, scale: float, generator: Generator, *, channels: int = 1, is_round: bool = False
) -> Float[Tensor, "channels i j k"]:
    """Unit Gaussian noise on a coarse grid, interpolated to `shape`.

    Args:
        shape: Voxels along i, j, k.
        scale: Distance between the points of the coarse grid, in voxels.
        generator: Source of the noise.
        channels: Number of independent fields.
        is_round: Without the kinks of linear interpolation, which a deformed outline would show.
    """
    coarse = [max(2, round(size / scale) + 1) for size in shape]
    noise = torch.randn(1, channels, *coarse, generator=generator)
    if is_round:
        finer = [4 * size for size in coarse]
        noise = F.interpolate(noise, finer, mode="trilinear", align_corners=True)
        noise = F.avg_pool3d(F.pad(noise, (2,) * 6, mode="replicate"), 5, stride=1)
    return F.interpolate(noise, list(shape), mode="trilinear", align_corners=True)[0]


def generator_of(seed: int, index: int, *names: str) -> Generator:
    """The generator of one part of one study, unrelated to those of all others.

    Args:
        seed: Of the whole set of studies.
        index: Number of the study.
        names: Which part of it: `patient`, `ct`, `t1`.
    """
    words = ":".join([str(seed), str(index), *names])
    digest = hashlib.blake2b(words.encode(), digest_size=8).digest()
    return Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def uniform(low: float, high: float, generator: Generator) -> float:
    """One number between `low` and `high`."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def normal(generator: Generator) -> float:
    """One unit Gaussian number."""
    return float(torch.randn((), generator=generator))


def chance(probability: float, generator: Generator) -> bool:
    """True with this probability."""
    return uniform(0, 1, generator) < probability
