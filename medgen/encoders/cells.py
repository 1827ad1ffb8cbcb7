"""Radiographs and volumes: strided convolutions, then a transformer over the coarsest grid."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from monai.networks.layers.factories import Conv
from torch import nn

from medgen.encoders.image import ImageEncoder, ImageEncoderConfig
from medgen.encoders.places import OCTAVES, Grid, places
from medgen.encoders.reader import Reader
from medgen.shapes import Context, Image

SLOPE = 0.1  # of the activation below 0
FLAT = 1e-2  # variance beneath which a cell's channels are noise


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


class CellEncoder(ImageEncoder):
    """Cells of an image, each half as fine as the level before, and what they amount to.

    Left is not right: each cell of the coarsest grid knows where it is, counted from the middle
    of the image, before the cells are read.
    """

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__(config)
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
    def eyes(self) -> nn.Module:
        """The convolutions."""
        return self.levels

    def features(self, image: Image) -> list[Grid]:
        """What the convolutions make of a batch of images: one grid a level, the finest first."""
        self.check(image)
        grids = [image]
        for level in self.levels:
            grids.append(level(grids[-1]))
        return grids[1:]

    def tokens(self, coarsest: Grid) -> Context:
        """The cells of the coarsest grid, with their places; its last axis is the fastest."""
        cells: Context = self.cell(coarsest.flatten(2).mT)
        return cells + self.place(places(coarsest.shape[2:]).to(cells))
