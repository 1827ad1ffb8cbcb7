"""Radiographs and volumes: strided convolutions, then a transformer over the coarsest grid."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from medgen.config import check_parts
from medgen.encoders.encoded import Encoded
from medgen.encoders.reader import Reader
from medgen.shapes import Image

SLOPE = 0.1  # of the activation below 0
FLAT = 1e-2  # variance beneath which a cell's channels are noise
OCTAVES = 6  # of the sinusoids: wavelengths of 2, 4, … 64 cells
NOTHING = -1.0  # the lowest value of every normalised image; air in CT


Grid = Float[Tensor, "batch ..."]
"""What a level makes of a batch of images: channels, then axes half as long as those before."""


@dataclass(frozen=True)
class ImageEncoderConfig:
    """The size of an image encoder.

    Attributes:
        spatial_dims: Axes of the images: 2 for X-ray, 3 for CT and MRI.
        in_channels: Of the images.
        widths: Channels of every level, finest first; each level halves the grid.
        width: Of the context.
        layers: Of the transformer.
        heads: Divides `width`.
        embedding: Length of the embedding; the same for all encoders that are aligned.
    """

    spatial_dims: int = 3
    in_channels: int = 1
    widths: tuple[int, ...] = (16, 32, 64)
    width: int = 128
    layers: int = 2
    heads: int = 4
    embedding: int = 256

    def __post_init__(self) -> None:
        """Raises UsageError for heads or groups that do not divide the width."""
        check_parts("heads", self.heads, [self.width])


class Level(nn.Module):
    """Half the grid: two convolutions, and a short way past them.

    Every cell is normalised by itself: bone elsewhere does not dim a bleed, and a patch is read
    as the same patch in its image.

    Args:
        spatial_dims: Axes of the images.
        above: Channels that come in.
        below: Channels that go out.

    Source: normalising each cell over its channels is Liu et al. 2022 (arXiv:2201.03545).
    """

    def __init__(self, spatial_dims: int, above: int, below: int) -> None:
        super().__init__()
        convolution = Conv[Conv.CONV, spatial_dims]
        self.halve = convolution(above, below, 3, stride=2, padding=1)
        self.refine = convolution(below, below, 3, padding=1)
        self.norms = nn.ModuleList(CellNorm(below) for _ in range(2))
        self.past = convolution(above, below, 2, stride=2)

    def forward(self, image: Grid) -> Grid:
        """The grid below; all sizes must be even."""
        inner = F.leaky_relu(self.norms[0](self.halve(image)), SLOPE)
        outer = F.leaky_relu(self.norms[1](self.refine(inner)), SLOPE)
        return self.past(image) + outer


class CellNorm(nn.Module):
    """Each cell's channels brought to mean 0 and variance 1, then scaled and shifted.

    Args:
        width: Channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.shift = nn.Parameter(torch.zeros(width))

    def forward(self, grid: Grid) -> Grid:
        """The same grid, normalised."""
        off = grid - grid.mean(1, keepdim=True)
        unit = off * (off.square().mean(1, keepdim=True) + FLAT).rsqrt()
        each = (-1, *[1] * (grid.ndim - 2))
        return unit * self.scale.view(each) + self.shift.view(each)


class ImageEncoder(nn.Module):
    """`encoder(image) -> Encoded`, for images of any size that divides by `stride`.

    Left is not right: each cell of the coarsest grid knows where it is, counted from the middle
    of the image, before the cells are read.
    """

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.levels = nn.ModuleList(
            Level(config.spatial_dims, above, below)
            for above, below in pairwise((config.in_channels, *config.widths))
        )
        self.cell = nn.Linear(config.widths[-1], config.width)
        self.place = nn.Linear(2 * OCTAVES * config.spatial_dims, config.width)
        self.reader = Reader(
            config.width, layers=config.layers, heads=config.heads, embedding=config.embedding
        )

    @property
    def stride(self) -> int:
        """Voxels of every axis that become one token."""
        return int(2 ** len(self.config.widths))

    def forward(self, image: Image) -> Encoded:
        """Encode a batch of images; the last spatial axis of the tokens is the fastest.

        Raises:
            ValueError: If a spatial size does not divide by `stride`.
        """
        return self.read(self.features(image)[-1])

    def features(self, image: Image) -> list[Grid]:
        """What the convolutions make of a batch of images: one grid a level, the finest first.

        Raises:
            ValueError: If a spatial size does not divide by `stride`.
        """
        if any(size % self.stride for size in image.shape[2:]):
            raise ValueError(f"sizes {tuple(image.shape[2:])} do not divide by {self.stride}")
        grids = [image]
        for level in self.levels:
            grids.append(level(grids[-1]))
        return grids[1:]

    def read(self, coarsest: Grid) -> Encoded:
        """What the transformer makes of the coarsest grid."""
        cells = self.cell(coarsest.flatten(2).mT)  # (batch, tokens, width)
        tokens = cells + self.place(places(coarsest.shape[2:]).to(cells))
        return self.reader(tokens, torch.ones_like(tokens[..., 0], dtype=torch.bool))

    def empty(self) -> Encoded:
        """What an image of nothing says: one item, to stand for an image that is not given."""
        config = self.config
        space = (self.stride,) * config.spatial_dims
        return self(self.cell.weight.new_full((1, config.in_channels, *space), NOTHING))


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
