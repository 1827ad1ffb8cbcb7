"""A flow: the denoiser of one modality's latents, told anything that an encoder can say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medgen.config import check_least
from medgen.diffusion.conditioner import Condition, Conditioner, ConditionerConfig
from medgen.diffusion.denoiser import Denoise, Denoiser
from medgen.diffusion.guidance import Guidance, guided
from medgen.diffusion.prediction import Prediction, from_clean
from medgen.diffusion.process import RectifiedFlow
from medgen.diffusion.sequence import SequenceConfig, SequenceDenoiser
from medgen.diffusion.unet import UNet, UNetConfig
from medgen.errors import UsageError
from medgen.modality import FACTS, Modality
from medgen.shapes import Context, Latent, Time

SOURCES = (*map(str, Modality), "shared", "scan")
"""What a flow listens to, in the order of its conditioner: the context of each encoder, an
embedding in the space that all of them share, and, of volumes, how they are scanned."""


@dataclass(frozen=True)
class FlowConfig:
    """The shape of a flow; stored in the model card.

    Attributes:
        modality: Whose latents it makes.
        channels: Of the latent.
        grid: Cells of the latent along each axis; one axis for text.
        patch: Cells along each axis that the U-Net takes as one.
        widths: Of every level of the U-Net; of text, the first is the transformer's.
        res_blocks: Residual blocks of every level of the U-Net; of text, the layers.
        attention: Which levels of the U-Net attend.
        heads: Of all attention.
        conditioner: What reads the conditions.
        spacings: Voxel sizes of its volumes, mm, of which each has the finest that holds the body;
            none for text and radiographs.
        knows_place: The network is told where each patch lies. Convolutions alone learn slowly what
            is left and what is right.
        says_clean: The network says the clean latent, from which the flow follows. What it says of
            the flow holds all of the noise, and a network that is narrower than a patch of cells
            cannot say that.
        codec: The own name of the codec whose latents it makes; the usual one has none.
    """

    modality: Modality = Modality.XRAY
    channels: int = 8
    grid: tuple[int, ...] = (32, 32)
    patch: int = 2
    widths: tuple[int, ...] = (96, 128)
    res_blocks: int = 1
    attention: tuple[bool, ...] = (False, True)
    heads: int = 4
    conditioner: ConditionerConfig = field(default_factory=ConditionerConfig)
    spacings: tuple[float, ...] = ()
    says_clean: bool = False
    knows_place: bool = False
    codec: str = ""

    def __post_init__(self) -> None:
        """Raises UsageError for a network that cannot be built."""
        if (self.modality is Modality.TEXT) != (len(self.grid) == 1):
            raise UsageError(f"a flow of {self.modality} cannot have {len(self.grid)} axes")
        if (len(self.grid) == 3) != bool(self.spacings):
            raise UsageError(
                f"a flow of {self.modality}: spacings are for volumes, which need them"
            )
        if self.patch < 1 or any(size % self.patch for size in self.grid):
            raise UsageError(f"a grid of {self.grid} does not divide by patches of {self.patch}")
        if not self.widths:
            raise UsageError("widths are empty; a network has one level or more")
        check_least(self, 1, "channels", "grid", "res_blocks")
        if self.spacings and not min(self.spacings) > 0:
            raise UsageError(f"spacings {self.spacings}: choose millimetres above 0")
        _sequence_config(self) if self.modality is Modality.TEXT else _unet_config(self)


def base_flow(modality: Modality) -> FlowConfig:
    """The usual size of a flow; a volume has 112 voxels a side: a head at 2 mm, a chest at 3 mm."""
    if modality is Modality.TEXT:
        return FlowConfig(modality, 32, (24,), 1, (128,), 6, (True,))
    if FACTS[modality].axes == 3:
        return FlowConfig(
            modality, grid=(28, 28, 28), spacings=(2.0, 3.0), says_clean=True, knows_place=True
        )
    return FlowConfig(modality)


GUIDANCE = 3.0  # what suits most flows
EARLIEST = 0.02  # before it, hardly any noise tells the flow from the clean latent
CALM = 0.3  # from here on, its error counts as that of any flow; before, as the clean latent's


def _as_it_is(denoise: Denoise) -> Denoise:
    return denoise


class Flow(nn.Module):
    """`flow(noisy, time, conditions) -> prediction` of clean minus noise, in rectified flow."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.config = config
        self.process = RectifiedFlow()
        self.conditioner = Conditioner(config.conditioner)
        self.network: SequenceDenoiser | UNet = (
            SequenceDenoiser(_sequence_config(config))
            if config.modality is Modality.TEXT
            else UNet(_unet_config(config))
        )

    def forward(self, noisy: Latent, time: Time, conditions: Sequence[Condition]) -> Latent:
        """What the network predicts of a noisy latent."""
        return self.predict(noisy, time, self.conditioner(conditions))

    def denoise(
        self,
        conditions: Sequence[Condition],
        empty: Sequence[Condition],
        guidance: Guidance,
        through: Callable[[Denoise], Denoise] = _as_it_is,
        through_empty: Callable[[Denoise], Denoise] = _as_it_is,
    ) -> Denoise:
        """The clean latent as a function of noisy latent and time, pushed towards the conditions.

        Args:
            conditions: What is asked for.
            empty: What is said when nothing is asked for.
            guidance: How hard to push.
            through: What else the denoiser that is told them goes through: references.
            through_empty: The same of the one that is told nothing. Where it sees no references,
                they are pushed towards as the conditions are.
        """

        def told(what: Sequence[Condition]) -> Denoise:
            context = self.conditioner(what)
            network = partial(self.predict, context=context)
            return Denoiser(network, self.process, Prediction.FLOW)

        return guided(through(told(conditions)), through_empty(told(empty)), guidance)

    def predict(self, noisy: Latent, time: Time, context: Context) -> Latent:
        """The same with what the conditioner has read."""
        if self.config.modality is Modality.TEXT:
            prediction: Latent = self.network(noisy, time, context)
            return prediction
        said = unfolded(self.network(self._patches(noisy), time, context), self.config.patch)
        if not self.config.says_clean:
            return said
        mix = self.process.at(time.clamp(min=EARLIEST))
        return from_clean(Prediction.FLOW, mix, noisy, said)

    def weight(self, time: Time, axes: int) -> Tensor:
        """How much a squared error of the flow counts at each time.

        Where there is little noise, a small error of the clean latent is a large one of the flow.

        Args:
            time: Of each item of a batch.
            axes: Of the errors, batch and channels included.
        """
        full = torch.ones_like(time)
        weight = (time / CALM).clamp(max=1).square() if self.config.says_clean else full
        return weight.view(-1, *[1] * (axes - 1))

    @property
    def unet(self) -> UNet:
        """The network of a flow of images.

        Raises:
            UsageError: If it is a flow of text, which has none.
        """
        if not isinstance(self.network, UNet):
            raise UsageError("a flow of text reads no references; name another modality")
        return self.network

    def features(self, clean: Latent, context: Context) -> Float[Tensor, "batch features *coarse"]:
        """What the down-sampling half sees in a latent without noise, told what it shows.

        Raises:
            UsageError: If it is a flow of text, which has no such half.
        """
        time = torch.zeros(1, device=clean.device)
        return self.unet.lowered(self._patches(clean), time, context)

    def _patches(self, latent: Latent) -> Float[Tensor, "batch channels *coarse"]:
        """What the U-Net takes: patches as cells, and where they lie if it is to know."""
        patches = folded(latent, self.config.patch)
        if not self.config.knows_place:
            return patches
        axes = [torch.linspace(-1, 1, size, device=latent.device) for size in patches.shape[2:]]
        where = torch.stack(torch.meshgrid(*axes, indexing="ij"))
        return torch.cat([patches, where.to(patches).expand(len(patches), *where.shape)], dim=1)


def folded(latent: Latent, patch: int) -> Float[Tensor, "batch folded *coarse"]:
    """Patches of cells as the channels of one, on a grid that is so much coarser.

    Example:
        >>> import torch
        >>> folded(torch.arange(4.0).view(1, 1, 2, 2), 2).flatten()
        tensor([0., 1., 2., 3.])
    """
    axes = latent.ndim - 2
    split = latent.reshape(
        *latent.shape[:2], *(part for size in latent.shape[2:] for part in (size // patch, patch))
    )
    coarse, fine = range(2, 2 + 2 * axes, 2), range(3, 3 + 2 * axes, 2)
    return split.permute(0, 1, *fine, *coarse).flatten(1, 1 + axes)


def unfolded(latent: Float[Tensor, "batch folded *coarse"], patch: int) -> Latent:
    """The inverse of `folded`."""
    axes = latent.ndim - 2
    split = latent.unflatten(1, (-1, *[patch] * axes))
    order = [at for axis in range(axes) for at in (2 + axes + axis, 2 + axis)]
    joined = split.permute(0, 1, *order)
    return joined.reshape(*joined.shape[:2], *(size * patch for size in latent.shape[2:]))


def _unet_config(config: FlowConfig) -> UNetConfig:
    axes = len(config.grid)
    folded_channels = config.channels * config.patch**axes
    return UNetConfig(
        spatial_dims=axes,
        in_channels=folded_channels + axes * config.knows_place,
        out_channels=folded_channels,
        widths=config.widths,
        res_blocks=config.res_blocks,
        attention=config.attention,
        heads=config.heads,
        context_width=config.conditioner.width,
        is_summarised=True,
    )


def _sequence_config(config: FlowConfig) -> SequenceConfig:
    return SequenceConfig(
        channels=config.channels,
        length=config.grid[0],
        width=config.widths[0],
        layers=config.res_blocks,
        heads=config.heads,
        context_width=config.conditioner.width,
    )
