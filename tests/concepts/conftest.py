"""Tiny networks with something to say: in two dimensions and three, on a grid that is odd, too."""

from types import SimpleNamespace

import pytest
import torch

from medgen.concepts.template import Template, inverted
from medgen.concepts.weaving import Loom
from medgen.diffusion.process import RectifiedFlow
from medgen.diffusion.unet import UNet, UNetConfig
from tests.concepts.toy import STOPS

WIDTH, TOKENS = 8, 3
GRIDS = {"2d": (8, 8), "3d": (4, 4, 4), "odd": (6, 5)}
LEVELS = {"odd": 3}  # halve eight cells, not six or five


@pytest.fixture(scope="session", params=GRIDS)
def tiny(request: pytest.FixtureRequest) -> SimpleNamespace:
    """A network, its loom, a latent, a context, and another one; `cells` of what attends."""
    grid, levels = GRIDS[request.param], LEVELS.get(request.param, 2)
    torch.manual_seed(len(grid))
    config = UNetConfig(
        spatial_dims=len(grid),
        in_channels=4,
        out_channels=4,
        widths=(8,) * levels,
        attention=(False, True, False)[:levels],
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
        latent=torch.randn(1, 4, *grid),
        context=torch.randn(1, TOKENS, WIDTH),
        other=torch.randn(1, TOKENS, WIDTH),
        cells={"2d": 16, "3d": 8, "odd": 16}[request.param],
    )


@pytest.fixture(scope="session")
def template(tiny: SimpleNamespace) -> Template:
    """The latent's, found once: `STOPS` are its stops."""
    denoise = tiny.loom.denoise(tiny.context)
    return inverted(denoise, tiny.loom.process, tiny.latent, STOPS, refinements=28)
