"""A concept: one new token, and new keys and values of a network's cross-attention."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from monai.networks.blocks.crossattention import CrossAttentionBlock
from torch import Tensor, nn

from medgen.diffusion.attention import cross_attention_layers

Said = Float[Tensor, "1 _ width"]
"""What a network is told of one thing: context tokens, the same for every item of a batch."""


class Concept(nn.Module):
    """An appearance that a network was never told of, as what it changes in that network.

    Everything else of the network stays as it is, so concepts that were learned apart can be used
    together. A new concept changes nothing but that one more token is heard.

    Source: Kumari et al. 2023, section 3.2 (arXiv:2212.04488).

    Args:
        said: What the network is told besides the token: its class, as the conditioner reads it.
        shapes: Rows and columns of the key and value projections, by the name of their layer.
    """

    def __init__(self, said: Said, shapes: dict[str, tuple[int, int]]) -> None:
        super().__init__()
        self.said: Tensor
        self.register_buffer("said", said.clone())
        self.token = nn.Parameter(said.mean(1, keepdim=True).clone())
        self.keys = nn.ParameterDict(
            {_key(name): nn.Parameter(torch.zeros(shape)) for name, shape in shapes.items()}
        )
        self.values = nn.ParameterDict(
            {_key(name): nn.Parameter(torch.zeros(shape)) for name, shape in shapes.items()}
        )

    @property
    def context(self) -> Said:
        """What is said, and the token."""
        return torch.cat([self.said, self.token], dim=1)

    def answer(
        self,
        name: str,
        layer: CrossAttentionBlock,
        queries: Float[Tensor, "batch cells asking"],
        context: Said,
    ) -> Float[Tensor, "batch cells asking"]:
        """What a layer says with the concept's keys and values; its own where it knows none.

        Args:
            name: Of the layer.
            layer: The network's own.
            queries: What it is asked.
            context: What it attends to.
        """
        keys, values = layer.to_k.weight, layer.to_v.weight
        if _key(name) in self.keys:
            keys, values = keys + self.keys[_key(name)], values + self.values[_key(name)]
        heard = context.expand(len(queries), -1, -1)
        seen = F.scaled_dot_product_attention(
            layer.input_rearrange(layer.to_q(queries)),
            layer.input_rearrange(F.linear(heard, keys)),
            layer.input_rearrange(F.linear(heard, values)),
            scale=layer.scale,
        )
        said: Tensor = layer.out_proj(layer.out_rearrange(seen))
        return said


def concept_for(network: nn.Module, said: Said) -> Concept:
    """A new concept that fits a network.

    Args:
        network: A U-Net with cross-attention.
        said: What it is told of the concept's class.

    Raises:
        ValueError: If the network has no cross-attention of MONAI's kind.
    """
    return Concept(said, {name: shape_of(one) for name, one in layers_of(network)})


def layers_of(network: nn.Module) -> Iterable[tuple[str, CrossAttentionBlock]]:
    """The layers that a concept changes, by name.

    Raises:
        ValueError: If there are none.
    """
    found = [(name, one.module) for name, one in cross_attention_layers(network).items()]
    if not found or not all(isinstance(module, CrossAttentionBlock) for _, module in found):
        raise ValueError("concepts are for U-Nets with cross-attention")
    return [(name, module) for name, module in found if isinstance(module, CrossAttentionBlock)]


def shape_of(layer: CrossAttentionBlock) -> tuple[int, int]:
    """Rows and columns of a layer's projections."""
    rows, columns = layer.to_k.weight.shape
    return rows, columns


def _key(name: str) -> str:
    """A layer's path as a parameter may be called."""
    return name.replace(".", "-")
