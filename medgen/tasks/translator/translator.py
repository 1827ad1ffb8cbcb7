"""The local translator: from any of a patient's images to another, on a 1 mm grid.

One network is both engines: asked at time 1, where the noisy latent tells nothing, its answer is
the regression; walked from 1 to 0 it is a diffusion sampler (YODA, arXiv:2505.02048).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medgen.config import check_least
from medgen.diffusion.modulated_unet import ModulatedUNet, ModulatedUNetConfig, NormName
from medgen.diffusion.process import RectifiedFlow
from medgen.errors import UsageError
from medgen.latents.haar import HaarCodec
from medgen.modality import Contrast, Kind, Modality
from medgen.shapes import Image, Latent, Time

CT = Kind(Modality.CT)
TARGETS = (CT, *(Kind(Modality.MRI, contrast) for contrast in Contrast))
"""What the translator can make, in the order of its condition vector."""

HU_PER_UNIT = 4095 / 2  # of the normalised CT; see `modality.FACTS`


@dataclass(frozen=True)
class TranslatorConfig:
    """The shape of a translator; stored in the model card."""

    mri_slots: int = 3  # MRIs it can look at together
    spacing: float = 1.0  # of its grid, mm
    widths: tuple[int, ...] = (16, 32, 64, 128, 128)  # channels of each level
    norm: NormName = "instance"  # or affine
    detail: int = 0  # channels of the layers that tell the voxels of a cell apart; 0 is none
    knee: float = 0.0  # of MRIs shown with their dark end stretched, share of their range; 0: none

    def __post_init__(self) -> None:
        """Raises UsageError for a size that no translator can have."""
        check_least(self, 1, "mri_slots", "widths")
        check_least(self, 0, "detail")
        if not 0 < self.spacing < math.inf:
            raise UsageError(f"translator.spacing is {self.spacing:g} mm; choose one above 0")
        if not 0 <= self.knee < 1:
            raise UsageError(f"translator.knee is {self.knee:g}; it is a share, 0 to below 1")


@dataclass(frozen=True)
class Sources:
    """What the translator is given, on its own grid.

    Attributes:
        images: One channel for CT and one for each MRI slot, in [-1, 1]; anything where absent.
        present: 1 for a channel that is given, 0 for an absent one.
    """

    images: Image
    present: Float[Tensor, "batch channels"]


class Translator(nn.Module):
    """Source latents, a noisy target latent and the time in; the clean target latent out."""

    def __init__(self, config: TranslatorConfig) -> None:
        super().__init__()
        self.config = config
        self.process = RectifiedFlow()
        # Water is 0 in both codecs' latents, or close: bfloat16 is finest there.
        self.ct_codec = HaarCodec(offset=-0.5, latent_scale=0.7)
        self.mri_codec = HaarCodec(offset=-0.4, latent_scale=1.0)
        channels, bands = 1 + config.mri_slots, self.ct_codec.channels
        again = config.mri_slots if config.knee else 0  # the MRIs, stretched
        self.network = ModulatedUNet(
            ModulatedUNetConfig(
                in_channels=bands * (1 + channels + again),
                out_channels=bands,
                conditions=len(TARGETS) + channels,
                widths=config.widths,
                norm=config.norm,
                detail=config.detail,
            )
        )

    def codec(self, target: Kind) -> HaarCodec:
        """The codec of a target's latents."""
        return self.ct_codec if target == CT else self.mri_codec

    def encode(self, sources: Sources) -> Latent:
        """The latents of all source channels, one after the other; zeros where absent.

        With a knee those of the MRIs come a second time, stretched.
        """
        batch, channels, *space = sources.images.shape
        images, codecs = list(sources.images.split(1, dim=1)), [self.ct_codec]
        codecs += [self.mri_codec] * (channels - 1)
        present = sources.present
        if self.config.knee:
            images += [stretched(image, self.config.knee) for image in images[1:]]
            codecs += codecs[1:]
            present = torch.cat([present, present[:, 1:]], dim=1)
        bands = self.ct_codec.channels
        grid = [size // 2 for size in space]
        latents = sources.images.new_zeros(batch, len(images), bands, *grid)
        for channel, (image, codec) in enumerate(zip(images, codecs, strict=True)):
            given = present[:, channel].nonzero()[:, 0]
            if len(given):
                latents[given, channel] = codec.encode(image[given])
        return latents.flatten(1, 2)

    def conditions(
        self, targets: list[Kind], present: Float[Tensor, "batch channels"]
    ) -> Float[Tensor, "batch conditions"]:
        """What is asked for and what is given, as the network's condition vector."""
        wanted = torch.zeros(len(targets), len(TARGETS), device=present.device)
        for item, target in enumerate(targets):
            wanted[item, index_of(target)] = 1
        return torch.cat([wanted, present], dim=1)

    def forward(
        self,
        noisy: Latent,
        time: Time,
        source: Float[Tensor, "batch sources *grid"],
        conditions: Float[Tensor, "batch conditions"],
    ) -> Latent:
        """The clean target latent.

        The noisy latent is scaled to unit power and then by what share of it is signal: at time 1
        it is heard as silence, so the regression does not depend on the noise.
        """
        mix = self.process.at(time)
        heard = mix.alpha / (mix.alpha**2 + mix.sigma**2)
        return self.network(
            torch.cat([noisy * _spread(heard, noisy.ndim), source], dim=1),
            time.expand(len(noisy)),
            conditions,
        )


def stretched(image: Image, knee: float) -> Image:
    """An image in [-1, 1] with its dark end spread out: linear below the knee, logarithmic above.

    Cortical bone and muscle differ by some hundredths of the range of a T2-weighted scan.

    Args:
        image: In [-1, 1].
        knee: A few times the noise, as a share of the range, above 0.
    """
    share = ((image + 1) / 2).clamp(min=0)
    return 2 * torch.asinh(share / knee) / math.asinh(1 / knee) - 1


def index_of(target: Kind) -> int:
    """Where a target stands in `TARGETS`.

    Raises:
        UsageError: If the translator does not make it.
    """
    if target not in TARGETS:
        words = ", ".join(map(str, TARGETS))
        raise UsageError(f"cannot translate to '{target}'; choose one of {words}")
    return TARGETS.index(target)


def _spread(values: Float[Tensor, "#batch"], ndim: int) -> Tensor:
    """Add axes so that one value per item multiplies a whole image."""
    return values.reshape(-1, *([1] * (ndim - 1)))
