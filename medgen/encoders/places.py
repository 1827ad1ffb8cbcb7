"""Grids of features, and where each of their cells lies."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

OCTAVES = 6  # of the sinusoids: wavelengths of 2, 4, … 64 cells


Grid = Float[Tensor, "batch ..."]
"""Features of a batch of images: channels, then axes."""


def places(grid: Sequence[int]) -> Float[Tensor, "cells sinusoids"]:
    """Where each cell of a grid is, as sines and cosines of its distance from the middle.

    Example:
        >>> places((1, 3))[1].tolist() == [0.0] * 6 + [1.0] * 6 + [0.0] * 6 + [1.0] * 6
        True
    """
    axes = [torch.arange(size) - (size - 1) / 2 for size in grid]
    cells = torch.stack(torch.meshgrid(axes, indexing="ij"), -1).flatten(0, -2)
    rates = math.pi * 0.5 ** torch.arange(OCTAVES)
    angles = cells[..., None] * rates  # (cells, axes, octaves)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)
