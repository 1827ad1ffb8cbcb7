"""Features of images that need no download: fixed random convolutions, pooled at every scale.

Distances in them are relative: they rank two sets of images against a third, and are comparable
with nobody else's. Source: random filters rank like learned ones in Naeem et al. 2020, section 5
(arXiv:2002.09797).
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

SEED = 2020
SCALES = 5
WIDTH = 16

Squares = Float[Tensor, "images 1 side side"]


def random_features(squares: Squares) -> Float[Tensor, "images width"]:
    """Mean and deviation of every random filter at every scale; 160 numbers an image.

    Args:
        squares: In [-1, 1], at least 64 pixels a side.
    """
    generator = torch.Generator().manual_seed(SEED)
    layer, found = squares.float(), []
    for _ in range(SCALES):
        channels = layer.shape[1]
        filters = torch.randn(WIDTH, channels, 5, 5, generator=generator).to(squares.device)
        filters = filters - filters.mean((2, 3), keepdim=True)
        layer = F.conv2d(layer, filters / math.sqrt(25 * channels), padding=2)
        layer = F.leaky_relu(layer, 0.2)
        found += [layer.mean((2, 3)), layer.std((2, 3))]
        layer = F.avg_pool2d(layer, 2) * math.sqrt(2)  # what pooling takes of the contrast
    return torch.cat(found, dim=1)
