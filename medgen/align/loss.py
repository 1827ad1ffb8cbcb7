"""The central alignment loss: every embedding finds its partner among those of the batch."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from medgen.shapes import Embedding

Duplicates = Bool[Tensor, "batch batch"]
"""True where two studies say the same; the diagonal does not matter."""

Decoys = Float[Tensor, "batch decoys embedding"]
"""Embedded reports that are wrong of a study."""


def info_nce(
    one: Embedding,
    other: Embedding,
    scale: Float[Tensor, ""],
    *,
    duplicates: Duplicates | None = None,
    decoys: Decoys | None = None,
) -> Float[Tensor, ""]:
    """How hard it is to tell, for each of `one`, which of `other` belongs to it; in nats.

    Args:
        one: The hub's embeddings, or those that ask.
        other: Their partners, in the same order; all others are negatives.
        scale: 1 / temperature.
        duplicates: Pairs that are no negatives: radiology is full of equal normal reports.
        decoys: More negatives for each of `one`, like its partner but for one fact; zeros are
            none.

    Returns:
        The mean over the batch; 0 for a batch of one without a decoy, and for an empty batch.

    Source: Zhan et al. 2024, central alignment (arXiv:2403.04290); van den Oord et al. 2018, eq. 4
    (arXiv:1807.03748).
    """
    with torch.autocast(one.device.type, enabled=False):  # bfloat16 logits of 100 are 0.5 apart
        logits = scale * one @ other.mT
        own = None if decoys is None else scale * torch.einsum("be,bde->bd", one, decoys)
    if duplicates is not None:
        is_partner = torch.eye(len(one), dtype=torch.bool, device=one.device)
        logits = logits.masked_fill(duplicates & ~is_partner, -torch.inf)
    if decoys is not None and own is not None:
        is_none = ~decoys.any(-1)
        logits = torch.cat([logits, own.masked_fill(is_none, -torch.inf)], dim=1)
    return -F.log_softmax(logits, dim=1).diagonal().sum() / max(1, len(one))


def alignment_loss(
    one: Embedding,
    other: Embedding,
    scale: Float[Tensor, ""],
    *,
    duplicates: Duplicates | None = None,
    decoys: Decoys | None = None,
) -> Float[Tensor, ""]:
    """Mean of the two directions of `info_nce`; decoys are like `one`, and mislead `other`.

    Source: the two directions are Radford et al. 2021, figure 3 (arXiv:2103.00020).
    """
    back = None if duplicates is None else duplicates.mT
    there = info_nce(one, other, scale, duplicates=duplicates)
    return (there + info_nce(other, one, scale, duplicates=back, decoys=decoys)) / 2


def same_group(groups: Int[Tensor, "batch"]) -> Duplicates:
    """Which studies share a group: those whose reports say the same, for example.

    Example:
        >>> same_group(torch.tensor([4, 7, 4])).int().tolist()
        [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    """
    return groups[:, None] == groups
