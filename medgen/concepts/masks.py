"""Who owns which cell: masks of several concepts that overlap become shares that sum to one."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from medgen.diffusion.padding import pad_to_multiple

MOSTLY = 0.8  # of an object in an overlap: beyond it, the other one gets nothing of that

Shares = Float[Tensor, "parts *grid"]
"""The share of each part in each cell: first the concepts in their order, last the background.

Over the parts they sum to one.
"""


def shared_out(
    dense: Bool[Tensor, "concepts *grid"], wide: Bool[Tensor, "concepts *grid"]
) -> Shares:
    """Give every cell to the concepts that may have it, and the rest to the background.

    A wide mask lets a concept shape its surroundings; where wide masks meet, only a dense one
    counts. Where dense masks meet, they share alike, unless one of them lies there with more than
    `MOSTLY` of its cells: it would be lost, and so it gets all; of two such, the first.

    Args:
        dense: Where each concept is.
        wide: Where it may have an effect: `dense` and its surroundings.

    Source: rules of Kwon et al. 2024, section 3.4 (arXiv:2404.03913), and of the released script
    of their successor (arXiv:2410.05591).
    """
    held = _without_losers(dense)
    owners = torch.where(held.any(0), held, wide | dense).float()
    shares = owners / owners.sum(0).clamp(min=1)
    background = 1 - shares.sum(0, keepdim=True)
    return torch.cat([shares, background.clamp(min=0)])


def _without_losers(dense: Bool[Tensor, "concepts *grid"]) -> Bool[Tensor, "concepts *grid"]:
    held = dense.clone()
    for one in range(len(held)):
        for other in range(len(held)):
            if other == one:
                continue
            overlap = held[one] & held[other]
            if overlap.sum() > MOSTLY * held[one].sum():
                held[other] &= ~overlap
    return held


def cells_of(
    shares: Float[Tensor, "batch parts *grid"], cells: int, *, patch: int, coarsest: int
) -> Float[Tensor, "batch parts *coarse"]:
    """Shares on the grid of a layer: the mean over the cells that one of its cells covers.

    Args:
        shares: On the latent's grid.
        cells: Of the layer, in all.
        patch: Cells of the latent along each axis that the network takes as one.
        coarsest: Those that its coarsest level takes as one. Each level halves the one before, and
            the far edge is repeated until that divides.

    Raises:
        ValueError: If no level of such a network has so many cells.
    """
    padded = pad_to_multiple(shares, coarsest)
    axes, stride = padded.ndim - 2, patch
    while stride <= coarsest:
        if math.prod(padded.shape[2:]) == cells * stride**axes:
            pool = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[axes]
            return pool(padded, stride)
        stride *= 2
    raise ValueError(f"no level of {cells} cells on a grid of {tuple(shares.shape[2:])}")
