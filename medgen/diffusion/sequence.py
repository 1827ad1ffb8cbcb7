"""A transformer that denoises sequences: the latents of reports."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medgen.config import check_least, check_parts
from medgen.errors import UsageError
from medgen.shapes import Context, Latent, Time

FASTEST = 1000.0  # radians of the fastest sinusoid from time 0 to 1
SLOWEST = 0.1


@dataclass(frozen=True)
class SequenceConfig:
    """The size of the network.

    Attributes:
        channels: Of the latent.
        length: Cells of the latent's grid, which has one axis.
        width: Of the transformer; even.
        layers: Each attends to the sequence, then to the context.
        heads: Divides `width`.
        context_width: Of the context's tokens.
    """

    channels: int = 32
    length: int = 24
    width: int = 128
    layers: int = 6
    heads: int = 4
    context_width: int = 128

    def __post_init__(self) -> None:
        """Raises UsageError for a network that cannot be built."""
        check_parts("heads", self.heads, [self.width])
        if self.width % 2:
            raise UsageError(f"width {self.width}: choose an even number")
        check_least(self, 1, "channels", "length", "layers", "context_width")


class SequenceDenoiser(nn.Module):
    """`network(latent, time, context) -> prediction` for latents with one axis.

    The last layer starts at zero, so an untrained network predicts 0 everywhere.
    """

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.config = config
        self.cell = nn.Linear(config.channels, config.width)
        self.place = nn.Parameter(torch.randn(config.length, config.width) / config.width**0.5)
        self.time = nn.Sequential(
            nn.Linear(config.width, config.width), nn.SiLU(), nn.Linear(config.width, config.width)
        )
        self.context = nn.Linear(config.context_width, config.width)
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                config.width,
                config.heads,
                4 * config.width,
                0.0,
                "gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.channels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, latent: Latent, time: Time, context: Context
    ) -> Float[Tensor, "batch channels length"]:
        """Predict from the noisy latent and the time in [0, 1]."""
        when = self.time(sinusoids(time.expand(len(latent)), self.config.width))
        tokens = self.cell(latent.mT) + self.place + when[:, None]
        # The time is told as a token, too: the context is read in another light early and late.
        told = torch.cat([when[:, None], self.context(context)], dim=1)
        for layer in self.layers:
            tokens = layer(tokens, told)
        prediction: Tensor = self.head(self.norm(tokens)).mT
        return prediction


def sinusoids(time: Float[Tensor, "batch"], width: int) -> Float[Tensor, "batch width"]:
    """Sines and cosines of the time, from slow to fast.

    Example:
        >>> sinusoids(torch.zeros(1), 4)
        tensor([[0., 0., 1., 1.]])
    """
    rates = torch.logspace(math.log10(SLOWEST), math.log10(FASTEST), width // 2)
    angles = time.float()[:, None] * rates.to(time.device)
    return torch.cat([angles.sin(), angles.cos()], dim=1)
