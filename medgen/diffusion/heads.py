"""Attention in several heads, of tokens that were projected already."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def attended(
    asked: Float[Tensor, "batch asking width"],
    offered: Float[Tensor, "batch said 2*width"],
    heads: int,
    bias: Float[Tensor, "..."] | None = None,
) -> Float[Tensor, "batch asking width"]:
    """What each query sees of what is offered.

    Args:
        asked: Queries.
        offered: Keys, and beside them values.
        heads: Divides `width`.
        bias: Added to the logits, (batch, heads, asking, said) or what broadcasts to it; -inf for
            what is not seen.
    """
    queries, keys, values = (
        one.unflatten(2, (heads, -1)).transpose(1, 2) for one in (asked, *offered.chunk(2, dim=-1))
    )
    added = None if bias is None else bias.to(queries)
    seen = F.scaled_dot_product_attention(queries, keys, values, added)
    return seen.transpose(1, 2).flatten(2)
