"""What a denoiser is told, from any number of sources, as one context of fixed length."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from medgen.config import check_least, check_parts
from medgen.diffusion.heads import attended
from medgen.shapes import Context


@dataclass(frozen=True)
class Condition:
    """Something that a batch is told, each item its own.

    Attributes:
        tokens: What is said.
        mask: True where there is a token, False where there is padding.
        source: Number of what says it.
        weight: How much each item listens, 0 or more; 0 is as if it were not told.
    """

    tokens: Context
    mask: Bool[Tensor, "batch tokens"]
    source: int
    weight: Float[Tensor, "batch"]


@dataclass(frozen=True)
class ConditionerConfig:
    """The size of a conditioner.

    Attributes:
        sources: Width of what each source says.
        width: Of the context.
        length: Tokens of the context.
        layers: How often the context looks at what is said.
        heads: Divides `width`.
    """

    sources: tuple[int, ...] = (128, 128, 128, 128, 256)
    width: int = 128
    length: int = 24
    layers: int = 2
    heads: int = 4

    def __post_init__(self) -> None:
        """Raises UsageError for a network that cannot be built."""
        check_parts("heads", self.heads, [self.width])
        check_least(self, 1, "sources", "length", "layers")


class Conditioner(nn.Module):
    """`conditioner(conditions) -> Context`; learned queries read all that is said at once.

    The order does not matter; a weight multiplies the attention that a condition gets. So one that
    is given twice at half its weight is the same as once.

    Source: the queries are Jaegle et al. 2021 (arXiv:2103.03206).
    """

    def __init__(self, config: ConditionerConfig) -> None:
        super().__init__()
        self.config = config
        # Each source has its own bias, by which the others know it.
        self.project = nn.ModuleList(nn.Linear(width, config.width) for width in config.sources)
        self.query = nn.Parameter(torch.randn(1, config.length, config.width) / config.width**0.5)
        self.layers = nn.ModuleList(Look(config.width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, conditions: Sequence[Condition]) -> Context:
        """Read the conditions; each item of the batch must have a token that counts."""
        said = [self.project[each.source](each.tokens) for each in conditions]
        heard = torch.cat([_logarithm(each) for each in conditions], dim=1)
        tokens = torch.cat(said, dim=1)
        context = self.query.expand(len(tokens), -1, -1)
        for layer in self.layers:
            context = layer(context, tokens, heard)
        normed: Context = self.norm(context)
        return normed


class Look(nn.Module):
    """Attention of a context over tokens, and a perceptron; both added to the context.

    Args:
        width: Of context and tokens.
        heads: Divides it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.ask, self.answer = nn.Linear(width, width), nn.Linear(width, width)
        self.offer = nn.Linear(width, 2 * width)
        self.think = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(
        self,
        context: Context,
        tokens: Float[Tensor, "batch said width"],
        heard: Float[Tensor, "batch said"],
    ) -> Context:
        """Look once.

        Args:
            context: What looks.
            tokens: What is looked at.
            heard: Added to the logits of the attention; -inf for what is not there.
        """
        asked, offered = self.ask(self.norms[0](context)), self.offer(self.norms[1](tokens))
        seen = attended(asked, offered, self.heads, heard[:, None, None])
        context = context + self.answer(seen)
        return context + self.think(self.norms[2](context))


def _logarithm(condition: Condition) -> Float[Tensor, "batch tokens"]:
    weight = torch.where(condition.mask, condition.weight[:, None], 0)
    return weight.to(condition.tokens).log()
