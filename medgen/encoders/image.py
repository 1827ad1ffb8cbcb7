"""Radiographs and volumes: strided convolutions, then a transformer over the coarsest grid."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from monai.networks.blocks.convolutions import ResidualUnit
from torch import Tensor, nn

from medgen.encoders.encoded import Encoded
from medgen.encoders.reader import Reader
from medgen.shapes import Image

OCTAVES = 6  # of the sinusoids: wavelengths of 2, 4, … 64 cells
NOTHING = -1.0  # the lowest value of every normalised image; air in CT


@dataclass(frozen=True)
class ImageEncoderConfig:
    """The size of an image encoder.

    Attributes:
        spatial_dims: Axes of the images: 2 for X-ray, 3 for CT and MRI.
        in_channels: Of the images.
        widths: Channels of every level, finest first; each level halves the grid.
        norm_groups: Groups of the normalisation; divides every width.
        width: Of the context.
        layers: Of the transformer.
        heads: Divides `width`.
        embedding: Length of the embedding; the same for all encoders that are aligned.
    """

    spatial_dims: int = 3
    in_channels: int = 1
    widths: tuple[int, ...] = (16, 32, 64)
    norm_groups: int = 8
    width: int = 128
    layers: int = 2
    heads: int = 4
    embedding: int = 256


class ImageEncoder(nn.Module):
    """`encoder(image) -> Encoded`, for images of any size that divides by `stride`.

    Left is not right: each cell of the coarsest grid knows where it is, counted from the middle
    of the image, before the cells are read.
    """

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.levels = nn.Sequential(
            *(
                ResidualUnit(
                    config.spatial_dims,
                    above,
                    below,
                    strides=2,
                    act=("LeakyReLU", {"inplace": True, "negative_slope": 0.1}),
                    norm=("group", {"num_groups": config.norm_groups}),
                )
                for above, below in pairwise((config.in_channels, *config.widths))
            )
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
        if any(size % self.stride for size in image.shape[2:]):
            raise ValueError(f"sizes {tuple(image.shape[2:])} do not divide by {self.stride}")
        features = self.levels(image)
        cells = self.cell(features.flatten(2).mT)  # (batch, tokens, width)
        tokens = cells + self.place(places(features.shape[2:]).to(cells))
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
