"""What writes reports token by token: transformer layers that look back, and at a memory."""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


def decoder_layers(width: int, heads: int, layers: int) -> nn.ModuleList:
    """Layers that normalise first, as GPT-2's do; nothing is dropped."""
    return nn.ModuleList(
        nn.TransformerDecoderLayer(
            width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        for _ in range(layers)
    )


def decoded(
    layers: Iterable[nn.Module],
    tokens: Float[Tensor, "batch tokens width"],
    memory: Float[Tensor, "batch memory width"],
    mask: Bool[Tensor, "batch memory"] | None = None,
) -> Float[Tensor, "batch tokens width"]:
    """What each token becomes of those up to it and of the memory.

    Args:
        layers: Of `decoder_layers`.
        tokens: Embedded, with their places.
        memory: What is looked at.
        mask: Which of the memory there is; None if all is.
    """
    size = tokens.shape[1]
    future = torch.ones(size, size, dtype=torch.bool, device=tokens.device).triu(1)
    missing = None if mask is None else ~mask
    for layer in layers:
        tokens = layer(tokens, memory, tgt_mask=future, memory_key_padding_mask=missing)
    return tokens
