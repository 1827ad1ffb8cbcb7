"""What other flows may know of a noisy latent: a few tokens, and its place in a shared space."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from medgen.config import check_parts
from medgen.diffusion.sequence import sinusoids
from medgen.shapes import Context, Embedding, Latent, Time

OCTAVES = 4  # of the sinusoids that say where a cell lies


@dataclass(frozen=True)
class EnvironmentConfig:
    """The size of an environment encoder.

    Attributes:
        axes: Of the latent's grid.
        channels: Of the latent.
        halvings: How often the grid is halved before its cells become tokens.
        width: Of the tokens.
        embedding: Length of the embedding; the same for flows that are to agree.
        groups: Of the normalisation; divides `width`.
    """

    axes: int = 2
    channels: int = 8
    halvings: int = 2
    width: int = 64
    embedding: int = 64
    groups: int = 8

    def __post_init__(self) -> None:
        """Raises UsageError for heads or groups that do not divide the width."""
        check_parts("groups", self.groups, [self.width])


@dataclass(frozen=True)
class Environment:
    """What is told of a batch of noisy latents.

    Attributes:
        tokens: One for each cell of a coarse grid.
        embedding: Where the whole latent lies, unit length.
    """

    tokens: Context
    embedding: Embedding

    def of(self, items: Sequence[int]) -> "Environment":
        """The same of some items of the batch."""
        chosen = list(items)
        return Environment(self.tokens[chosen], self.embedding[chosen])


class EnvironmentEncoder(nn.Module):
    """`encoder(noisy, time) -> Environment`, on any grid that the halvings divide.

    CoDi tells one pooled token (its section 3.4), which carries no layout; here the cells of a
    coarse grid are told, and the pooled one serves the alignment of latents.

    Source: V_m of Zhan et al. 2024, section 3.3 (arXiv:2403.04290).
    """

    def __init__(self, config: EnvironmentConfig) -> None:
        super().__init__()
        self.config = config
        width, convolution = config.width, Conv[Conv.CONV, config.axes]
        self.entry = convolution(config.channels, width, 3, padding=1)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU())
        self.blocks = nn.ModuleList(
            _Block(config, stride=2 if at < config.halvings else 1)
            for at in range(config.halvings + 1)
        )
        self.place = nn.Linear(2 * OCTAVES * config.axes, width)
        self.norm = nn.LayerNorm(width)
        self.pool = nn.Linear(width, config.embedding)

    def forward(self, noisy: Latent, time: Time) -> Environment:
        """Listen to noisy latents, each at its time or all at one."""
        when = self.time(sinusoids(time.expand(len(noisy)), self.config.width))
        features = self.entry(noisy)
        for block in self.blocks:
            features = block(features, when)
        places = self.place(whereabouts(features.shape[2:]).to(features))
        tokens = self.norm(features.flatten(2).mT + places)
        return Environment(tokens, F.normalize(self.pool(tokens.mean(1)), dim=-1))


class _Block(nn.Module):
    """A residual block that is told the time; with a stride it halves the grid first."""

    def __init__(self, config: EnvironmentConfig, *, stride: int) -> None:
        super().__init__()
        width, convolution = config.width, Conv[Conv.CONV, config.axes]
        self.shrink = convolution(width, width, 2, stride=stride) if stride > 1 else nn.Identity()
        self.norm = nn.GroupNorm(config.groups, width)
        self.modulate = nn.Linear(width, 2 * width)
        self.mix = convolution(width, width, 3, padding=1)

    def forward(
        self, features: Latent, when: Float[Tensor, "batch width"]
    ) -> Float[Tensor, "batch latent *coarse"]:
        """Mix neighbours, louder or softer by the time."""
        features = self.shrink(features)
        space = (...,) + (None,) * (features.ndim - 2)
        scale, shift = self.modulate(when)[space].chunk(2, dim=1)
        mixed: Tensor = features + self.mix(F.silu(self.norm(features) * (1 + scale) + shift))
        return mixed


def whereabouts(grid: torch.Size) -> Float[Tensor, "tokens numbers"]:
    """Where each cell of a grid lies, as sines and cosines of its coordinates in (-1, 1).

    Example:
        >>> whereabouts(torch.Size([2, 3])).shape
        torch.Size([6, 16])
    """
    axes = [(2 * torch.arange(size) + 1) / size - 1 for size in grid]
    cells = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2)
    angles = cells[..., None] * math.pi / 2 * 2.0 ** torch.arange(OCTAVES)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)
