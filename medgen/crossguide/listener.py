"""How a flow listens to others: more cross-attention beside its own, silent at first."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from medgen.config import check_parts
from medgen.diffusion.attention import AttentionLayer, cross_attention_layers
from medgen.diffusion.heads import attended
from medgen.shapes import Context

SHARED = "shared"  # stands for the name of a flow that is heard by its place alone


@dataclass(frozen=True)
class ListenerConfig:
    """The size of a listener.

    Attributes:
        sources: Names of the flows that it can hear, and the width of their tokens.
        layers: Names of the attention layers that it attaches to, and their widths.
        width: Of what it makes of the tokens, and of its attention.
        heads: Divides `width`.
        shared: Length of the embeddings in the space that the latents of all flows share; with it,
            the listener hears any flow by its place there. 0 for one that cannot.
    """

    sources: dict[str, int]
    layers: dict[str, int]
    width: int = 64
    heads: int = 4
    shared: int = 0

    def __post_init__(self) -> None:
        """Raises UsageError for heads or groups that do not divide the width."""
        check_parts("heads", self.heads, [self.width])


def listener_for(
    network: nn.Module,
    sources: Mapping[str, int],
    *,
    width: int = 64,
    heads: int = 4,
    shared: int = 0,
) -> "Listener":
    """A new listener that fits a network.

    Args:
        network: The flow's.
        sources: Names of the flows that it can hear, and the width of their tokens.
        width: As in the config.
        heads: As in the config.
        shared: As in the config.
    """
    layers = {name: one.width for name, one in cross_attention_layers(network).items()}
    return Listener(ListenerConfig(dict(sources), layers, width, heads, shared))


class Listener(nn.Module):
    """Attaches to a flow's network and adds to its attention what other flows say.

    Its gate is half open and the projection behind it is zero: an untrained listener adds nothing,
    exactly.

    Source: guided adaptation and cross-condition of Zhan et al. 2024, section 3.3
    (arXiv:2403.04290); zero is from Tang et al. 2023, section 3.4 (arXiv:2305.11846), whose
    released code lets each flow hear itself: here it hears the others.
    """

    def __init__(self, config: ListenerConfig) -> None:
        super().__init__()
        self.config = config
        said = config.sources | ({SHARED: config.shared} if config.shared else {})
        self.adapt = nn.ModuleDict(
            {name: Adaptation(width, config.width) for name, width in said.items()}
        )
        self.hear = nn.ModuleDict(
            {
                _key(name): CrossCondition(width, config.width, config.heads)
                for name, width in config.layers.items()
            }
        )

    @contextmanager
    def attached(self, network: nn.Module, heard: Mapping[str, Context]) -> Iterator[None]:
        """The network listens, as long as this lasts; to nobody, it is as it was.

        Args:
            network: The one that this listener was made for.
            heard: Tokens of other flows, by their names; places in the shared space as `SHARED`.

        Raises:
            KeyError: If one of them is nobody that it can hear.
        """
        handles: list[RemovableHandle] = []
        if heard:
            adapted = [self.adapt[name](tokens) for name, tokens in sorted(heard.items())]
            said = torch.cat(adapted, dim=1)
            handles = [
                layer.module.register_forward_hook(partial(self._add, name, said))
                for name, layer in self._layers(network)
            ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _layers(self, network: nn.Module) -> Sequence[tuple[str, AttentionLayer]]:
        found = cross_attention_layers(network)
        return [(name, found[name]) for name in self.config.layers]

    def _add(
        self, name: str, said: Context, module: nn.Module, given: tuple[Any, ...], answer: Any
    ) -> Any:
        """A forward hook: PyTorch's own attention answers with a pair, MONAI's does not."""
        more = self.hear[_key(name)](given[0], said)
        return (answer[0] + more, *answer[1:]) if isinstance(answer, tuple) else answer + more


class Adaptation(nn.Module):
    """What one flow says, as another can use it: chosen, embedded, brought to the common width."""

    def __init__(self, said: int, width: int) -> None:
        super().__init__()
        self.choose = nn.Sequential(nn.LayerNorm(said), nn.Linear(said, said), nn.Sigmoid())
        self.embed = nn.Sequential(
            nn.LayerNorm(said), nn.Linear(said, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(
        self, tokens: Float[Tensor, "batch tokens said"]
    ) -> Float[Tensor, "batch tokens width"]:
        """The tokens, adapted."""
        adapted: Tensor = self.embed(tokens * self.choose(tokens))
        return adapted


class CrossCondition(nn.Module):
    """Attention of one layer's queries over what the others say, behind a gate."""

    def __init__(self, asking: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ask = nn.Sequential(nn.LayerNorm(asking), nn.Linear(asking, width))
        self.offer = nn.Linear(width, 2 * width)
        self.answer = nn.Linear(width, asking)
        self.gate = nn.Parameter(torch.zeros(()))
        nn.init.zeros_(self.answer.weight)
        nn.init.zeros_(self.answer.bias)

    def forward(
        self, queries: Float[Tensor, "batch cells asking"], said: Context
    ) -> Float[Tensor, "batch cells asking"]:
        """What is added to the layer's own answer."""
        seen = attended(self.ask(queries), self.offer(said), self.heads)
        return self.gate.sigmoid() * self.answer(seen)


def _key(name: str) -> str:
    """A layer's path as a module may be called."""
    return name.replace(".", "-")
