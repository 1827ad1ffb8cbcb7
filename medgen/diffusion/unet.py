"""MONAI's diffusion U-Net made to speak `network(latent, time, context, label)`."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from monai.networks.blocks.crossattention import CrossAttentionBlock
from monai.networks.blocks.selfattention import SABlock
from monai.networks.nets.diffusion_model_unet import (
    DiffusionModelUNet,
    DiffusionUNetResnetBlock,
    get_timestep_embedding,
)
from torch import Tensor, nn

from medgen.config import check_least, check_parts
from medgen.diffusion.padding import crop_to_grid, pad_to_multiple
from medgen.errors import UsageError
from medgen.shapes import Context, Latent, Time

TIMESTEPS = 1000  # MONAI's sinusoids are spread for timesteps of 0 … 1000


@dataclass(frozen=True)
class UNetConfig:
    """The size of the network.

    Attributes:
        spatial_dims: Axes of the grid, 2 or 3.
        in_channels: Channels of the latent, conditions that are concatenated to it included.
        out_channels: Channels of the prediction; twice the latent's where variance is learned.
        widths: Channels of every level, finest first; each level halves the grid.
        res_blocks: Residual blocks of every level.
        attention: Which levels attend; as long as `widths`. The middle always does.
        heads: Attention heads; divides the width of every attending level.
        norm_groups: Groups of the normalisation; divides every width.
        context_width: Width of the context tokens; None for a network without cross-attention.
        num_labels: How many classes `label` may name; None for a network without labels.
        is_summarised: Whether the context's mean is told to every block as well, beside the time.
            What concerns the whole image is so learned in far fewer steps. Not with labels.

    Raises:
        UsageError: If the widths do not go with the attention, the heads or the groups.
        ValueError: If the other numbers above contradict each other.
    """

    spatial_dims: int = 3
    in_channels: int = 8
    out_channels: int = 8
    widths: tuple[int, ...] = (32, 64, 96)
    res_blocks: int = 1
    attention: tuple[bool, ...] = (False, False, True)
    heads: int = 4
    norm_groups: int = 32
    context_width: int | None = None
    num_labels: int | None = None
    is_summarised: bool = False

    def __post_init__(self) -> None:
        if self.is_summarised and (self.context_width is None or self.num_labels is not None):
            raise ValueError("a network is summarised with a context and without labels only")
        if self.spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims is {self.spatial_dims}; it must be 2 or 3")
        if len(self.attention) != len(self.widths):
            raise UsageError(f"attention has {len(self.attention)} levels, not {len(self.widths)}")
        check_least(self, 1, "in_channels", "out_channels", "widths", "res_blocks")
        check_parts("norm_groups", self.norm_groups, self.widths)
        attending = [*zip(self.widths, self.attention, strict=True), (self.widths[-1], True)]
        check_parts("heads", self.heads, [width for width, attends in attending if attends])


class UNet(nn.Module):
    """`network(latent, time, context, label) -> prediction`, on any grid.

    The output convolution starts at zero, so an untrained network predicts 0 everywhere.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = DiffusionModelUNet(
            spatial_dims=config.spatial_dims,
            in_channels=config.in_channels,
            out_channels=config.out_channels,
            num_res_blocks=config.res_blocks,
            channels=config.widths,
            attention_levels=config.attention,
            norm_num_groups=config.norm_groups,
            num_head_channels=[max(1, width // config.heads) for width in config.widths],
            with_conditioning=config.context_width is not None,
            cross_attention_dim=config.context_width,
            num_class_embeds=1 if config.is_summarised else config.num_labels,
            use_flash_attention=True,  # PyTorch's fused attention: the same numbers, less memory
        )
        if config.is_summarised and config.context_width is not None:
            # MONAI adds what this says of the class to its embedding of the time.
            width = 4 * config.widths[0]
            summary = nn.Sequential(
                nn.Linear(config.context_width, width), nn.SiLU(), nn.Linear(width, width)
            )
            self.unet.add_module("class_embedding", summary)

    def forward(
        self,
        latent: Latent,
        time: Time,
        context: Context | None = None,
        label: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch prediction *grid"]:
        """Predict from the noisy latent and the time in [0, 1].

        Grids that the levels cannot halve are padded by repeating their edge, and cropped again.

        Raises:
            ValueError: If a context or a label is missing that the network was built for, or
                given to one that was not.
        """
        self._check_given("context", self.config.context_width, context)
        self._check_given("label", self.config.num_labels, label)
        padded = pad_to_multiple(latent, self.coarsest)
        timesteps = (TIMESTEPS * time.float()).expand(len(latent))
        said = label
        if self.config.is_summarised and context is not None:
            said = context.mean(1).expand(len(latent), -1)
        prediction = self.unet(padded, timesteps, context=context, class_labels=said)
        return crop_to_grid(prediction, latent.shape[2:])

    @property
    def coarsest(self) -> int:
        """Cells along each axis that the coarsest level takes as one."""
        return 2 ** (len(self.config.widths) - 1)

    @property
    def bottleneck(self) -> nn.Module:
        """Where the grid is coarsest, for whoever attaches to it: features in, features out."""
        found: nn.Module = self.unet.middle_block
        return found

    def lowered(
        self, latent: Latent, time: Time, context: Context | None = None
    ) -> Float[Tensor, "batch features *coarse"]:
        """What the down-sampling half sees in a latent: what `forward` gives to the bottleneck.

        Raises:
            ValueError: If a context is missing that the network was built for, or it has labels.
        """
        self._check_given("context", self.config.context_width, context)
        self._check_given("label", self.config.num_labels, None)
        unet = self.unet
        features = unet.conv_in(pad_to_multiple(latent, self.coarsest))
        timesteps = (TIMESTEPS * time.float()).expand(len(latent))
        clock = get_timestep_embedding(timesteps, self.config.widths[0]).to(latent.dtype)
        told = unet.time_embed(clock)
        if self.config.is_summarised and context is not None:
            told = told + unet.class_embedding(context.mean(1).expand(len(latent), -1))
        for block in unet.down_blocks:
            features, _ = block(hidden_states=features, temb=told, context=context)
        lowered: Tensor = features
        return lowered

    def _check_given(self, name: str, built_for: int | None, given: Tensor | None) -> None:
        if built_for is not None and given is None:
            raise ValueError(f"this network needs a {name}; give the empty one")
        if built_for is None and given is not None:
            raise ValueError(f"this network was built without {name}")


def attention_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Every attention layer of a network by its path, in the order the latent meets them.

    Whoever listens to attention or steers it attaches here. With a context, names end in `attn1`
    for self-attention and `attn2` for cross-attention; without one, in `attn`.
    """
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, SABlock | CrossAttentionBlock)
    }


def residual_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Every residual block of a network, by its path."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, DiffusionUNetResnetBlock)
    }
