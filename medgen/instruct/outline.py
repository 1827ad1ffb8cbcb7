"""Anatomy as a picture: label maps and edges, and an image with a region taken out."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

POOLS = {2: F.avg_pool2d, 3: F.avg_pool3d}
SHARP = 0.98  # quantile of the slopes that is drawn white


def drawn_labels(labels: Int[Tensor, "*space"], count: int) -> Float[Tensor, "1 *space"]:
    """A label map as grey levels: 0 is black, label k of `count` is k / count of white.

    Example:
        >>> drawn_labels(torch.tensor([0, 1, 2]), 2)
        tensor([[-1.,  0.,  1.]])
    """
    return (2 * labels.float() / count - 1)[None]


def drawn_edges(image: Float[Tensor, "1 *space"]) -> Float[Tensor, "1 *space"]:
    """How steep an image is, from black to white; blind to offset and gain.

    Slopes are central differences of the image averaged over 3 pixels along each axis.
    """
    axes = image.ndim - 1
    smooth = POOLS[axes](image[None], 3, stride=1, padding=1, count_include_pad=False)[0]
    slopes = torch.stack(torch.gradient(smooth, dim=list(range(1, axes + 1))))
    steep = slopes.square().sum(0).sqrt()
    some = steep.flatten()[:: max(1, steep.numel() // 1_000_000)]
    white = some.quantile(SHARP).clamp(min=1e-3)
    return 2 * (steep / white).clamp(0, 1) - 1


def without_region(
    image: Float[Tensor, "1 *space"], region: Bool[Tensor, "*space"]
) -> Float[Tensor, "1 *space"]:
    """An image of which a region is one grey: what it shows there is not told."""
    return torch.where(region, 0.0, image)
