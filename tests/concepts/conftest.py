"""Tiny networks with something to say, in two and three dimensions."""

from types import SimpleNamespace

import pytest
import torch

from medgen.concepts.weaving import Loom
from medgen.diffusion.process import RectifiedFlow
from medgen.diffusion.unet import UNet, UNetConfig

WIDTH, TOKENS = 8, 3
GRIDS = {2: (8, 8), 3: (4, 4, 4)}


@pytest.fixture(params=[2, 3], ids=["2d", "3d"])
def tiny(request: pytest.FixtureRequest) -> SimpleNamespace:
    """A network, its loom, a latent, a context, and another one."""
    dims: int = request.param
    torch.manual_seed(dims)
    config = UNetConfig(
        spatial_dims=dims,
        in_channels=4,
        out_channels=4,
        widths=(8, 8),
        attention=(False, True),
        heads=2,
        norm_groups=4,
        context_width=WIDTH,
    )
    network = UNet(config).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    return SimpleNamespace(
        network=network,
        loom=Loom(network, network, RectifiedFlow()),
        latent=torch.randn(1, 4, *GRIDS[dims]),
        context=torch.randn(1, TOKENS, WIDTH),
        other=torch.randn(1, TOKENS, WIDTH),
    )
