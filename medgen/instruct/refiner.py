"""Twice the resolution: what is fine is sampled, what is coarse stays as it was given.

In the Haar basis an image is its means over blocks of 2 pixels along each axis and, besides, its
details. A flow makes the details; the means are those of the low-resolution image, whatever the
flow says, so no detail can change what the image shows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medgen.diffusion.denoiser import Denoise, Denoiser
from medgen.diffusion.modulated_unet import ModulatedUNet, ModulatedUNetConfig
from medgen.diffusion.prediction import Prediction
from medgen.diffusion.process import RectifiedFlow
from medgen.instruct.outline import POOLS
from medgen.latents.haar import HaarCodec
from medgen.shapes import Embedding, Image, Latent, Time

Fine = Float[Tensor, "batch channels *fine"]
"""Images in [-1, 1] of twice the resolution."""
LOUDEST = 0.3  # standard deviation of the noise that low-resolution images are given in training


@dataclass(frozen=True)
class RefinerConfig:
    """The shape of a refiner; stored in the model card.

    Attributes:
        axes: Of its images.
        embedding: Length of what it is told of a text; where it lies in the shared space.
        widths: Channels of each level of its network, finest first.
        detail: Standard deviation of the details of training images, by which they are divided.
        spacing: Of the voxels that it makes, mm; 0 for radiographs.
    """

    axes: int = 2
    embedding: int = 256
    widths: tuple[int, ...] = (24, 48, 96, 96)
    detail: float = 0.05
    spacing: float = 0.0


class Refiner(nn.Module):
    """`refiner(noisy, time, low, level, embedding) -> clean` details.

    The network says what linear interpolation lacks. Told to say clean minus noise instead, most of
    what it learns is to hand the noise on.
    """

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        self.config = config
        self.process = RectifiedFlow()
        self.haar = HaarCodec(0.0, 1.0, config.axes)
        details = self.haar.channels - 1
        self.network = ModulatedUNet(
            ModulatedUNetConfig(
                spatial_dims=config.axes,
                in_channels=details + 1,
                out_channels=details,
                conditions=1 + config.embedding,
                widths=config.widths,
            )
        )

    def forward(
        self,
        noisy: Latent,
        time: Time,
        low: Image,
        level: Float[Tensor, "batch"],
        embedding: Embedding,
    ) -> Latent:
        """The clean details of noisy ones, of unit variance.

        Args:
            noisy: Details, mixed with noise.
            time: How far.
            low: The low-resolution image in [-1, 1], with noise of this level.
            level: 0 … `LOUDEST`.
            embedding: Of the text.
        """
        told = torch.cat([level[:, None] / LOUDEST, embedding], dim=1)
        when = time.expand(len(noisy))
        lacking: Latent = self.network(torch.cat([noisy, low], dim=1), when, told)
        return self.details(interpolated(low)) + lacking

    def details(self, image: Fine) -> Latent:
        """The details of an image, of unit variance on images like those of training."""
        return self.haar.encode(image)[:, 1:] / self.config.detail

    def image(self, low: Image, details: Latent) -> Fine:
        """The image in [-1, 1] with these means and details.

        Where details would leave the range, all of a block are shrunk, so that its mean stays.
        """
        mean = low * 2 ** (self.config.axes / 2)
        whole = self.haar.decode(torch.cat([mean, details * self.config.detail], dim=1))
        return contained(whole, low)

    def denoise(
        self,
        low: Image,
        given: Image,
        level: Float[Tensor, "batch"],
        embedding: Embedding,
        network: Callable[[Latent, Time], Latent] | None = None,
    ) -> Denoise:
        """Clean details of noisy ones, projected onto what has the means of `low`.

        Args:
            low: What the image must become when its resolution is halved.
            given: The same with noise, as the network sees it.
            level: Of that noise.
            embedding: Of the text.
            network: Instead of this one's own on the whole image: on patches.
        """

        def whole(noisy: Latent, time: Time) -> Latent:
            return self(noisy, time, given, level, embedding)

        plain = Denoiser(network or whole, self.process, Prediction.CLEAN)

        def projected(noisy: Latent, time: Time) -> Latent:
            return self.details(self.image(low, plain(noisy, time)))

        return projected


def halved(image: Fine) -> Image:
    """The mean of every block of 2 pixels along each axis.

    Example:
        >>> halved(torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]])).item()
        0.5
    """
    small: Image = POOLS[image.ndim - 2](image, 2)
    return small


def interpolated(low: Image) -> Fine:
    """Twice the resolution by linear interpolation; the middle of pixels stays where it is.

    Example:
        >>> interpolated(torch.tensor([[[[0.0, 1.0]]]])).tolist()
        [[[[0.0, 0.25, 0.75, 1.0], [0.0, 0.25, 0.75, 1.0]]]]
    """
    mode = {4: "bilinear", 5: "trilinear"}[low.ndim]
    return nn.functional.interpolate(low, scale_factor=2, mode=mode, align_corners=False)


def contained(image: Fine, low: Image) -> Fine:
    """An image in [-1, 1] with the means of `low`: details shrink where they leave the range.

    Args:
        image: Whose blocks have these means.
        low: In [-1, 1].
    """
    mean = low
    for axis in range(2, image.ndim):
        mean = mean.repeat_interleave(2, dim=axis)
    detail = image - mean
    room = torch.where(detail > 0, 1 - mean, 1 + mean).clamp(min=0)
    share = torch.where(detail.abs() > room, room / detail.abs().clamp(min=1e-12), 1.0)
    least = -(nn.functional.max_pool2d if image.ndim == 4 else nn.functional.max_pool3d)(-share, 2)
    for axis in range(2, image.ndim):
        least = least.repeat_interleave(2, dim=axis)
    return mean + least * detail
