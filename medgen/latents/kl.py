"""Images to small latents and back: an exact wavelet first, then MONAI's KL autoencoder."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from monai.networks.nets.autoencoderkl import AutoencoderKL
from torch import Tensor, nn

from medgen.config import check_parts
from medgen.latents.codec import AbstractCodec, check_divides
from medgen.latents.haar import HaarCodec
from medgen.latents.posterior import LOG_VARIANCE, Posterior
from medgen.latents.principal import PrincipalComponents
from medgen.shapes import Image, Latent

DOUBT = -12.0  # log-variance at first: 1 HU or so, beside components of mean square 1
# An optimizer moves every weight by the learning rate, whatever there is to gain. Beside a linear
# codec, which is wrong by a hundredth, the network must speak softly to do more good than harm.
SOFTLY = {"latent": 0.5, "bands": 0.02}


@dataclass(frozen=True)
class KLCodecConfig:
    """The size of a codec.

    Attributes:
        spatial_dims: Axes of the images: 2 for X-ray, 3 for CT and MRI.
        latent_channels: Of the latent.
        widths: Channels of every level below the wavelet, finest first; each but the last halves
            the grid.
        res_blocks: Residual blocks of every level.
        norm_groups: Groups of the normalisation; divides every width.
        offset: The value that is 0 to the network: -1 for volumes, most of which is air.
        principal: Whether it starts from the best linear codec, and learns what that leaves.
    """

    spatial_dims: int = 2
    latent_channels: int = 8
    widths: tuple[int, ...] = (32, 64, 64)
    res_blocks: int = 1
    norm_groups: int = 16
    offset: float = 0.0
    principal: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError for heads or groups that do not divide the width."""
        check_parts("norm_groups", self.norm_groups, self.widths)


class KLCodec(nn.Module, AbstractCodec):
    """A KL autoencoder over the bands of a one-level Haar wavelet.

    The wavelet halves the grid at no loss and nearly no cost; convolutions over whole images at
    full resolution are what makes autoencoders slow on a CPU.

    Source: Rombach et al. 2022, section 3.1 (arXiv:2112.10752).
    """

    def __init__(self, config: KLCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.haar = HaarCodec(
            offset=config.offset, latent_scale=1.0, spatial_dims=config.spatial_dims
        )
        self.network = AutoencoderKL(
            spatial_dims=config.spatial_dims,
            in_channels=self.haar.channels,
            out_channels=self.haar.channels,
            num_res_blocks=(config.res_blocks,) * len(config.widths),
            channels=config.widths,
            attention_levels=(False,) * len(config.widths),
            latent_channels=config.latent_channels,
            norm_num_groups=config.norm_groups,
            with_encoder_nonlocal_attn=False,
            with_decoder_nonlocal_attn=False,
        )
        self.linear: PrincipalComponents | None = None
        if config.principal:
            side = self.stride // self.haar.stride
            self.linear = PrincipalComponents(
                config.spatial_dims, self.haar.channels, side, config.latent_channels
            )
            self._silence()
        shape = (1, config.latent_channels, *[1] * config.spatial_dims)
        self.shift: Tensor
        self.scale: Tensor
        self.register_buffer("shift", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    @property
    def stride(self) -> int:
        """How many pixels or voxels of every axis become one cell."""
        return int(2 ** len(self.config.widths))

    @property
    def channels(self) -> int:
        """Channels of the latent."""
        return self.config.latent_channels

    def posterior(self, image: Image) -> Posterior:
        """Mean and log-variance of the raw latent of images with one channel.

        Raises:
            ValueError: If a spatial size does not divide by `stride`.
        """
        check_divides(image, self.stride)
        bands = self.haar.encode(image)
        hidden = self.network.encoder(bands if self.linear is None else self.linear.even(bands))
        mean = self.network.quant_conv_mu(hidden)
        if self.linear is not None:
            mean = self.linear.encode(bands) + SOFTLY["latent"] * mean
        spread = self.network.quant_conv_log_sigma(hidden).clamp(*LOG_VARIANCE)
        return Posterior(mean, spread)

    def encode(self, image: Image) -> Latent:
        """The mean of the posterior, of mean 0 and standard deviation 1 over the training images.

        Raises:
            ValueError: If a spatial size does not divide by `stride`.
        """
        return (self.posterior(image).mean - self.shift) / self.scale

    def decode(self, latent: Latent) -> Image:
        """The image of a latent; about [-1, 1], as the decoder makes it."""
        return self.rebuild(latent * self.scale + self.shift)

    def rebuild(self, raw: Latent) -> Image:
        """The image of a raw latent, as `posterior` speaks of."""
        bands = self.network.decoder(self.network.post_quant_conv(raw))
        if self.linear is not None:
            bands = self.linear.decode(raw) + SOFTLY["bands"] * bands
        return self.haar.decode(bands)

    def fit_linear(self, images: Iterable[Image]) -> None:
        """Find the best linear codec of training images, if this one starts from it.

        Raises:
            ValueError: If there is no image.
        """
        if self.linear is not None:
            self.linear.fit(self.haar.encode(image) for image in images)

    @torch.no_grad()
    def calibrate(self, images: Iterable[Image]) -> None:
        """Measure shift and scale of every channel over training images.

        Raises:
            ValueError: If there is no image.
        """
        means = [self.posterior(image).mean for image in images]
        if not means:
            raise ValueError("no image to calibrate the codec with")
        values = torch.cat([mean.transpose(0, 1).flatten(1) for mean in means], dim=1)
        self.shift.copy_(values.mean(1).view_as(self.shift))
        self.scale.copy_(values.std(1).clamp(min=1e-6).view_as(self.scale))

    def _silence(self) -> None:
        """Let an untrained network add nothing, and doubt little."""
        *_, last = self.network.decoder.modules()  # a convolution to the bands
        silent = [*self.network.quant_conv_mu.parameters(), *last.parameters()]
        for parameter in silent:
            nn.init.zeros_(parameter)
        for name, parameter in self.network.quant_conv_log_sigma.named_parameters():
            if name.endswith("bias"):
                nn.init.constant_(parameter, DOUBT)
