"""The door into a network's cross-attention: whoever adds to it attaches here."""

from dataclasses import dataclass

from monai.networks.blocks.crossattention import CrossAttentionBlock
from torch import nn


@dataclass(frozen=True)
class AttentionLayer:
    """A layer that attends to the context.

    Attributes:
        module: Its first argument is (batch, cells, width), and so is its answer; PyTorch's own
            answers with a pair, whose first is it.
        width: Of both.
    """

    module: nn.Module
    width: int


def cross_attention_layers(network: nn.Module) -> dict[str, AttentionLayer]:
    """Every layer that attends to the context, by its path, in the order the latent meets them.

    Of U-Nets, these are MONAI's blocks; of sequence denoisers, PyTorch's.
    """
    found: dict[str, AttentionLayer] = {}
    for name, module in network.named_modules():
        if isinstance(module, CrossAttentionBlock):
            found[name] = AttentionLayer(module, module.hidden_input_size)
        elif isinstance(module, nn.MultiheadAttention) and name.endswith("multihead_attn"):
            found[name] = AttentionLayer(module, module.embed_dim)
    return found
