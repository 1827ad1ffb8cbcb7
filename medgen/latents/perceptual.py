"""A perceptual distance that needs no download: what random convolutions see."""

import torch
import torch.nn.functional as F
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from medgen.shapes import Image

SCALES = 3
WIDTH = 16
SEED = 20


class RandomFeatures(nn.Module):
    """Mean distance between features of fixed random convolutions, at three scales.

    Random filters of both signs, rectified, tell textures and edges apart nearly as well as
    learned ones (Saxe et al. 2011, ICML; Ustyuzhaninov et al. 2016, arXiv:1606.00021), and look
    neither at one voxel alone, as L1 does, nor at what somebody's photographs show.

    Args:
        spatial_dims: Axes of the images.
    """

    def __init__(self, spatial_dims: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(SEED)
        convolution = Conv[Conv.CONV, spatial_dims]
        above = (1, *(WIDTH,) * (SCALES - 1))
        self.filters = nn.ModuleList(
            convolution(channels, WIDTH, 3, stride=2, padding=1, bias=False) for channels in above
        )
        for one in self.filters:
            weight = torch.randn(one.get_parameter("weight").shape, generator=generator)
            rows = weight.flatten(2)
            rows = rows - rows.mean(2, keepdim=True)  # blind to brightness
            rows = rows / rows.flatten(1).norm(dim=1).view(-1, 1, 1)
            one.register_parameter("weight", nn.Parameter(rows.view_as(weight)))
        self.requires_grad_(False)

    def forward(self, image: Image, truth: Image) -> Tensor:
        """The mean absolute difference of the features; each scale counts the same."""
        losses = []
        seen, right = image, truth
        for one in self.filters:
            seen, right = F.leaky_relu(one(seen), 0.2), F.leaky_relu(one(right), 0.2)
            losses.append((seen - right).abs().mean())
        return torch.stack(losses).mean()
