"""Images to small latents and back: an exact wavelet first, then MONAI's KL autoencoder."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from monai.networks.nets.autoencoderkl import AutoencoderKL
from torch import Tensor, nn

from medgen.config import check_least, check_parts
from medgen.errors import UsageError
from medgen.latents.codec import AbstractCodec, check_divides
from medgen.latents.companding import Companding
from medgen.latents.haar import HaarCodec
from medgen.latents.polish import Polish, silenced
from medgen.latents.posterior import LOG_VARIANCE, Posterior
from medgen.latents.principal import PrincipalComponents
from medgen.shapes import Image, Latent

DOUBT = -12.0  # log-variance at first: 1 HU or so, beside components of mean square 1
SOFTLY = 0.5  # how loud the encoder's network is beside the components


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
        encodes: Whether a network helps the components to encode; without, the latent is linear in
            the image, which is fast.
        residual: How loud the decoder's network is beside the best linear codec: about what that
            leaves. An optimizer moves every weight by the learning rate, whatever there is to gain;
            a network that is too loud does more harm than good, and one too soft learns nothing.
        polish: Blocks that look at the bands of both together and mend them, as wide as the finest
            level: of few components, blocks of voxels are left that only their neighbours tell of.
        companding: Which values it sees larger than others.
        whitening: 1 gives every channel of the latent the same standard deviation; below it, strong
            components stay stronger than faint ones, so that whoever makes latents cares for them
            first. 0 leaves them as they are in images. All channels together have mean square 1.
    """

    spatial_dims: int = 2
    latent_channels: int = 8
    widths: tuple[int, ...] = (32, 64, 64)
    res_blocks: int = 1
    norm_groups: int = 16
    offset: float = 0.0
    principal: bool = False
    encodes: bool = True
    residual: float = 0.02
    polish: int = 0
    companding: Companding = field(default_factory=Companding)
    whitening: float = 1.0

    def __post_init__(self) -> None:
        """Raises UsageError for groups that do not divide the width, or nothing to whiten."""
        check_parts("norm_groups", self.norm_groups, self.widths)
        check_least(self, 1, "latent_channels", "widths", "res_blocks")
        if not self.residual > 0:
            raise UsageError(f"residual {self.residual:g}: choose a number above 0")
        if not 0 <= self.whitening <= 1:
            raise UsageError(f"whitening {self.whitening:g}: choose 0 to 1")
        if self.polish < 0:
            raise UsageError(f"polish {self.polish}: choose 0 blocks or more")
        for name, usual in (("encodes", True), ("whitening", 1), ("polish", 0)):
            if getattr(self, name) != usual and not self.principal:
                raise UsageError(f"{name}: is for a codec of principal components")


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
        self.polish: Polish | None = None
        if config.polish:
            self.polish = Polish(
                config.spatial_dims, self.haar.channels, config.widths[0], config.polish
            )
        if config.principal:
            side = self.stride // self.haar.stride
            self.linear = PrincipalComponents(
                config.spatial_dims, self.haar.channels, side, config.latent_channels
            )
            self._silence()
        if not config.encodes:
            for name in ("encoder", "quant_conv_mu", "quant_conv_log_sigma"):
                self.network.add_module(name, nn.Identity())
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
        bands = self._bands(image)
        if self.linear is not None and not self.config.encodes:
            mean = self.linear.encode(bands)
            return Posterior(mean, torch.full_like(mean, DOUBT))
        hidden = self.network.encoder(bands if self.linear is None else self.linear.even(bands))
        mean = self.network.quant_conv_mu(hidden)
        if self.linear is not None:
            mean = self.linear.encode(bands) + SOFTLY * mean
        spread = self.network.quant_conv_log_sigma(hidden).clamp(*LOG_VARIANCE)
        return Posterior(mean, spread)

    def encode(self, image: Image) -> Latent:
        """The mean of the posterior, of mean 0 and mean square 1 over the training images.

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
            bands = self.linear.decode(raw) + self.config.residual * bands
            if self.polish is not None:
                bands = bands + self.config.residual * self.polish(self.linear.even(bands))
        return self.config.companding.expand(self.haar.decode(bands))

    def fit_linear(self, images: Iterable[Image]) -> None:
        """Find the best linear codec of training images, if this one starts from it.

        Raises:
            ValueError: If there is no image.
        """
        if self.linear is not None:
            self.linear.fit(self._bands(image) for image in images)

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
        spread = values.std(1).clamp(min=1e-6)
        if self.linear is not None:
            loud = (spread * self.linear.strength) ** (1 - self.config.whitening)
            spread = spread * loud.square().mean().sqrt() / loud
        self.scale.copy_(spread.view_as(self.scale))

    def _bands(self, image: Image) -> Latent:
        return self.haar.encode(self.config.companding.compress(image))

    def _silence(self) -> None:
        """Let an untrained network add nothing, and doubt little."""
        *_, last = self.network.decoder.modules()  # a convolution to the bands
        silenced(self.network.quant_conv_mu)
        silenced(last)
        for name, parameter in self.network.quant_conv_log_sigma.named_parameters():
            if name.endswith("bias"):
                nn.init.constant_(parameter, DOUBT)
