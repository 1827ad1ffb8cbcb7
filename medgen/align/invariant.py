"""The medical visual invariant: what two views of one image agree on, each number for itself."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from medgen.shapes import Embedding


def cross_correlation(
    one: Embedding, other: Embedding
) -> Float[Tensor, "embedding {other.shape[1]}"]:
    """Correlation, over the batch, of every number of one view with every number of the other.

    A number that is the same for the whole batch correlates with nothing.
    """
    with torch.autocast(one.device.type, enabled=False):
        first, second = (F.normalize(view - view.mean(0), dim=0) for view in (one, other))
        return first.mT @ second


def invariance_loss(
    one: Embedding,
    other: Embedding,
    *,
    diag_weight: float = 1.0,
    off_diag_weight: float = 5e-3,
) -> Float[Tensor, ""]:
    """How far two views of the same images are from agreeing, and from saying each thing once.

    Args:
        one: Embeddings of one view.
        other: Of the other view of the same images, in the same order.
        diag_weight: Of the agreement. With 0 the loss is MedM2G's literal statement, which views
            that have nothing in common satisfy just as well.
        off_diag_weight: Of what is said twice.

    Returns:
        Sum over all pairs of numbers; 0 for fewer than two images, which correlate with nothing.

    Source: Zhan et al. 2024, visual invariant (arXiv:2403.04290); Zbontar et al. 2021, eq. 1
    (arXiv:2103.03230).
    """
    if len(one) < 2:
        return (one.sum() + other.sum()) * 0
    correlation = cross_correlation(one, other)
    diagonal = correlation.diagonal()
    off_diagonal = correlation.square().sum() - diagonal.square().sum()
    return diag_weight * (1 - diagonal).square().sum() + off_diag_weight * off_diagonal
