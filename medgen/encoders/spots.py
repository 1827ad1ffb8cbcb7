"""Spots: what is small in a volume, found voxel by voxel before strides can lose it.

Cells see a few centimetres and nothing else of the patient, so that they learn what a finding looks
like, and not which studies have one. In a radiograph everything lies over everything, and so few of
its pixels do not tell.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from medgen.encoders.places import Grid
from medgen.shapes import Image

RARE = -4.0  # log-odds that every cell starts with


class Spots(nn.Module):
    """`spots(volume) -> log-odds` of some findings in the cells of a grid of half the resolution.

    Without norms, which would tell a crop from its volume.

    Args:
        channels: Of the volume.
        findings: How many are told apart.
        width: Of the features.
    """

    def __init__(self, channels: int, findings: int, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv3d(channels, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv3d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv3d(width, width, 3, padding=2, dilation=2),
            nn.ReLU(),
        )
        self.odds = nn.Conv3d(width, findings, 1)
        for name, parameter in self.features.named_parameters():
            if name.endswith("weight"):
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")
            else:
                nn.init.zeros_(parameter)
        assert self.odds.bias is not None
        nn.init.constant_(self.odds.bias, RARE)

    def forward(self, volume: Image) -> Grid:
        """The log-odds of every finding in every cell."""
        odds: Grid = self.odds(self.features(volume))
        return odds

    @torch.no_grad()
    def peaks(self, volume: Image, cells: Sequence[int]) -> Float[Tensor, "batch peaks *coarse"]:
        """The evidence for each finding within each cell of a coarser grid, 0 or more.

        First that of the half of the volume where the patient's left is, then that of the other;
        nothing learns through them.
        """
        evidence = F.softplus(self(volume))
        left = evidence.clone()
        left[:, :, evidence.shape[2] // 2 :] = 0
        return F.adaptive_max_pool3d(torch.cat([left, evidence - left], dim=1), tuple(cells))
