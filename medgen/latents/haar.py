"""The one-level Haar wavelet: half the grid, every band a channel, nothing lost."""

from dataclasses import dataclass

import torch
from torch import Tensor

from medgen.latents.codec import AbstractCodec, check_divides
from medgen.shapes import Image, Latent


@dataclass(frozen=True)
class HaarCodec(AbstractCodec):
    """Orthonormal Haar bands of the shifted image, scaled to unit variance.

    latent = Haar(image - offset) / latent_scale. The bands of one image channel follow each other
    as LLL, LLH, LHL, … HHH: one letter an axis, the last axis fastest; L is the scaled sum of two
    neighbours, H their scaled difference. A constant image has an LLL band only.

    Attributes:
        offset: Value of the image that becomes latent 0; the background's, or the mean.
        latent_scale: Standard deviation of the raw bands over the training images.
        spatial_dims: Spatial axes of the images.

    Raises:
        ValueError: If `latent_scale` is not positive.

    Source: Haar 1910; Mallat 1989 (doi:10.1109/34.192463).

    Example:
        >>> codec = HaarCodec(offset=-1.0, latent_scale=1.0, spatial_dims=2)
        >>> codec.encode(torch.ones(1, 1, 2, 2)).flatten()
        tensor([4., 0., 0., 0.])
    """

    offset: float = 0.0
    latent_scale: float = 1.0
    spatial_dims: int = 3

    def __post_init__(self) -> None:
        if not self.latent_scale > 0:
            raise ValueError(f"latent_scale is {self.latent_scale}; it must be positive")

    @property
    def stride(self) -> int:
        """Two voxels of every axis become one cell."""
        return 2

    @property
    def channels(self) -> int:
        """Bands of one image channel: 4 in 2-D, 8 in 3-D."""
        return 2**self.spatial_dims

    def encode(self, image: Image) -> Latent:
        """The bands of `image` in float32.

        Raises:
            ValueError: If a spatial size is odd, or the number of spatial axes is another.
        """
        self._check_axes(image)
        check_divides(image, self.stride)
        # Only sums and differences: autocast would round a convolution to bfloat16, 8 HU.
        bands = (image.float() - self.offset).unsqueeze(2)  # (batch, channels, bands, *space)
        for axis in range(3, bands.ndim):
            even, odd = _halves(bands, axis)
            bands = torch.stack([even + odd, even - odd], dim=3).flatten(2, 3)
        return bands.flatten(1, 2).mul_(self._gain / self.latent_scale)

    def decode(self, latent: Latent) -> Image:
        """The image of `latent` in float32."""
        self._check_axes(latent)
        bands = latent.float().unflatten(1, (-1, self.channels))  # (batch, channels, bands, *grid)
        for axis in reversed(range(3, bands.ndim)):
            low, high = bands[:, :, 0::2], bands[:, :, 1::2]
            bands = torch.stack([low + high, low - high], dim=axis + 1).flatten(axis, axis + 1)
        return bands.squeeze(2).mul_(self._gain * self.latent_scale).add_(self.offset)

    @property
    def _gain(self) -> float:
        return float(2 ** (-self.spatial_dims / 2))

    def _check_axes(self, tensor: Tensor) -> None:
        if tensor.ndim - 2 != self.spatial_dims:
            raise ValueError(f"{tensor.ndim - 2} spatial axes; this codec has {self.spatial_dims}")


def _halves(bands: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The even and the odd planes of an axis."""
    before = (slice(None),) * axis
    return bands[(*before, slice(0, None, 2))], bands[(*before, slice(1, None, 2))]
