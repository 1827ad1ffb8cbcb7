"""Randomness that belongs to an item, whatever batch or process the item is in."""

import hashlib
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Size, Tensor

Generators = Sequence[torch.Generator]
"""One for each item of a batch, in its order."""


def generator_for(seed: int, index: int) -> torch.Generator:
    """A CPU generator for one item, unrelated to those of its neighbours.

    Args:
        seed: The run's.
        index: The item's number.
    """
    digest = hashlib.blake2b(f"{seed}:{index}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def generators_for(seed: int, indices: Sequence[int]) -> list[torch.Generator]:
    """One generator for each item of a batch.

    A stochastic sampler goes on with the generators that its first noise was drawn from; fresh
    ones would give it that same noise again.
    """
    return [generator_for(seed, index) for index in indices]


def draw_noise(
    generators: Generators, shape: Size | Sequence[int], device: torch.device | str = "cpu"
) -> Float[Tensor, "batch *item"]:
    """Unit Gaussian noise, each item from its own generator.

    Args:
        generators: CPU generators; each moves on by one draw.
        shape: Of one item: channels and grid.
        device: Where the noise goes; it is always made on the CPU, so that it is the same.
    """
    items = [torch.randn(tuple(shape), generator=generator) for generator in generators]
    return torch.stack(items).to(device)


def noise_for(
    seed: int, indices: Sequence[int], shape: Size | Sequence[int]
) -> Float[Tensor, "batch *item"]:
    """The first noise of the items `indices`, bit-equal in whatever batch they come.

    Example:
        >>> both = noise_for(7, [0, 5], (1, 2, 2))
        >>> torch.equal(both[1], noise_for(7, [5], (1, 2, 2))[0])
        True
    """
    return draw_noise(generators_for(seed, indices), shape)
