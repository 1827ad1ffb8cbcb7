"""What all encoders of images are: features first, then what they amount to."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn

from medgen.config import check_least, check_parts
from medgen.encoders.encoded import Encoded
from medgen.encoders.finder import FinderConfig
from medgen.encoders.places import Grid
from medgen.encoders.reader import Reader
from medgen.shapes import Context, Image

NOTHING = -1.0  # the lowest value of every normalised image; air in CT


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
        finder: Whose claims stand for the cells, of one kind of images; `widths` are then its own.
    """

    spatial_dims: int = 3
    in_channels: int = 1
    widths: tuple[int, ...] = (16, 32, 64)
    width: int = 128
    layers: int = 2
    heads: int = 4
    embedding: int = 256
    finder: FinderConfig | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for a network that cannot be built."""
        check_parts("heads", self.heads, [self.width])
        check_least(self, 1, "in_channels", "widths", "embedding")
        check_least(self, 0, "layers")

    @property
    def stride(self) -> int:
        """Voxels of every axis that become one cell."""
        return int(2 ** len((self.finder or self).widths))


class ImageEncoder(nn.Module, ABC):
    """`encoder(image) -> Encoded`, for images of any size that divides by the stride.

    Args:
        config: What it is built of.
    """

    reader: Reader

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        self.config = config

    @property
    @abstractmethod
    def eyes(self) -> nn.Module:
        """What makes the features."""

    @abstractmethod
    def features(self, image: Image) -> list[Grid]:
        """What is seen in a batch of images: grids, the finest first.

        Raises:
            ValueError: If a spatial size does not divide by the stride.
        """

    @abstractmethod
    def tokens(self, coarsest: Grid) -> Context:
        """What the reader is given of the coarsest features."""

    def read(self, coarsest: Grid) -> Encoded:
        """What the coarsest features amount to."""
        tokens = self.tokens(coarsest)
        encoded: Encoded = self.reader(tokens, torch.ones_like(tokens[..., 0], dtype=torch.bool))
        return encoded

    def reading(self) -> dict[str, nn.Parameter]:
        """All that learns to read features, by name: every parameter but those of the eyes."""
        eyes = set(self.eyes.parameters())
        return {name: one for name, one in self.named_parameters() if one not in eyes}

    def forward(self, image: Image) -> Encoded:
        """Encode a batch of images.

        Raises:
            ValueError: If a spatial size does not divide by the stride.
        """
        return self.read(self.features(image)[-1])

    def empty(self) -> Encoded:
        """What an image of nothing says: one item, to stand for an image that is not given."""
        config = self.config
        space = (config.stride,) * config.spatial_dims
        some = next(self.parameters())
        return self(some.new_full((1, config.in_channels, *space), NOTHING))

    def check(self, image: Image) -> None:
        """Raises ValueError for an image whose size does not divide by the stride."""
        stride, space = self.config.stride, tuple(image.shape[2:])
        if any(size % stride for size in space):
            raise ValueError(f"sizes {space} do not divide by {stride}")
