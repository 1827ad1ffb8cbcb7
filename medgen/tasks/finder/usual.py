"""Is this an image of the kind that the finder has learned from?

Small pictures of its training images vary in a few directions. What of another image lies in none
of them, as a share of its variance, is foreign: a radiograph of another hospital has some of it, a
photograph is little else. To simulated chests real radiographs are foreign by .23 to .53 (half of
them by less than .34), and the one real CT of a chest by .25, but CTs of heads and limbs by .37 to
.75.

Source: the residual of principal components as a test of novelty is Jackson and Mudholkar 1979
(10.1080/00401706.1979.10489779).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from medgen.modality import FACTS, Modality

DIRECTIONS = 32  # at most
SIDES = {2: 24, 3: 12}  # of the small pictures, by the axes of the image
MOST = 1000  # images that the directions are taken from
FOREIGN = {2: 0.5, 3: 1 / 3}  # share from which on an image is refused, by its axes
RARE = 0.99  # of images held back have less that is foreign than the limit


class Usual(nn.Module):
    """What the images of one kind look like.

    Args:
        modality: Of the images.
    """

    mean: Tensor
    directions: Tensor

    def __init__(self, modality: Modality) -> None:
        super().__init__()
        axes = FACTS[modality].axes
        self.side = SIDES[axes]
        self.register_buffer("mean", torch.zeros(self.side**axes))
        self.register_buffer("directions", torch.zeros(DIRECTIONS, self.side**axes))

    @torch.no_grad()
    def learn(self, views: Sequence[Tensor]) -> None:
        """Take mean and directions from standard views, of which a part is enough."""
        some = views[:: -(-len(views) // MOST)]
        small = torch.stack([self._small(view) for view in some])
        self.mean.copy_(small.mean(0))
        _, _, found = torch.linalg.svd(small - self.mean, full_matrices=False)
        count = min(DIRECTIONS, len(some) - 1)
        self.directions.zero_()
        self.directions[:count] = found[:count]

    @torch.no_grad()
    def foreign(self, view: Tensor) -> float:
        """Share of an image's variance that no training image has, 0 to about 1.

        Args:
            view: Its standard view (channels, *space).
        """
        off = self._small(view) - self.mean
        return float((off - (off @ self.directions.T) @ self.directions).square().sum())

    def _small(self, view: Tensor) -> Float[Tensor, "cells"]:
        """The first channel as a small picture of mean 0 and length 1."""
        axes = view.ndim - 1
        pool = F.adaptive_avg_pool2d if axes == 2 else F.adaptive_avg_pool3d
        small = pool(view[:1].float().to(self.mean.device), self.side).flatten()
        off = small - small.mean()
        return off / off.norm().clamp(min=1e-6)
