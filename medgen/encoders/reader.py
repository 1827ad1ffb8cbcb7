"""Tokens that look at each other, and the one vector they amount to."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor, nn

from medgen.encoders.encoded import Encoded
from medgen.shapes import Context, Embedding


class Reader(nn.Module):
    """A pre-norm transformer, and attention that pools its tokens into an embedding.

    Padding is never attended to, so what an item becomes does not depend on its batch. Tokens
    must know their place before they come here: nothing in here tells one from another.

    Args:
        width: Of the tokens.
        layers: Transformer layers; 0 leaves the tokens to themselves.
        heads: Of every layer and of the pool; divides `width`.
        embedding: Length of the embedding.

    Source: pre-norm is Xiong et al. 2020 (arXiv:2002.04745); the pool is the learned query of Lee
    et al. 2019, section 3.2 (arXiv:1810.00825).
    """

    def __init__(self, width: int, *, layers: int, heads: int, embedding: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.query = nn.Parameter(torch.randn(1, 1, width) / width**0.5)
        self.pool = nn.MultiheadAttention(width, heads, batch_first=True)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, embedding))

    def forward(self, tokens: Context, mask: Bool[Tensor, "batch tokens"]) -> Encoded:
        """Read the tokens; each item must have at least one."""
        for layer in self.layers:
            tokens = layer(tokens, src_key_padding_mask=~mask)
        context = self.norm(tokens)
        return Encoded(context, mask, self._embedding(context, mask))

    def _embedding(self, context: Context, mask: Bool[Tensor, "batch tokens"]) -> Embedding:
        query = self.query.expand(len(context), -1, -1)
        pooled, _ = self.pool(query, context, context, ~mask, need_weights=False)
        with torch.autocast(context.device.type, enabled=False):
            # bfloat16 would round similarities to two digits
            return F.normalize(self.head(pooled[:, 0].float()), dim=1)
