"""What every codec can do: images to latents and back."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Size, Tensor
from torch.nn.functional import pad

from medgen.shapes import Image, Latent


class AbstractCodec(ABC):
    """Turns images into what the diffusion engine denoises, and back.

    A codec never changes a size on its own: images that do not divide by `stride` are padded with
    `pad_to` before `encode`, and cropped with `crop_to` after `decode`, by whoever knows the size.
    """

    @property
    @abstractmethod
    def stride(self) -> int:
        """How many voxels of every spatial axis become one cell of the latent's grid."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """How many latent channels one channel of the image becomes."""

    @abstractmethod
    def encode(self, image: Image) -> Latent:
        """The latent of an image; its grid is `space / stride`, its standard deviation about 1.

        Raises:
            ValueError: If a spatial size does not divide by `stride`.
        """

    @abstractmethod
    def decode(self, latent: Latent) -> Image:
        """The image of a latent; its space is `grid * stride`."""


def pad_to(image: Image, stride: int) -> Float[Tensor, "batch channels *padded"]:
    """Repeat the far edge of every spatial axis until its size divides by `stride`.

    Example:
        >>> import torch
        >>> pad_to(torch.zeros(1, 1, 5, 6), 4).shape
        torch.Size([1, 1, 8, 8])
    """
    missing = [-size % stride for size in image.shape[2:]]
    if not any(missing):
        return image
    amounts = [amount for size in reversed(missing) for amount in (0, size)]
    return pad(image, amounts, mode="replicate")


def crop_to(
    image: Image, space: Size | tuple[int, ...]
) -> Float[Tensor, "batch channels *cropped"]:
    """The near corner of an image, `space` voxels large: what `pad_to` was given."""
    corner = [slice(None), slice(None), *(slice(size) for size in space)]
    return image[tuple(corner)]


def check_divides(image: Image, stride: int) -> None:
    """Refuse sizes that a codec would have to change silently."""
    space = tuple(image.shape[2:])
    if any(size % stride for size in space):
        raise ValueError(f"sizes {space} do not divide by {stride}; pad the image with pad_to")
