"""Small U-Nets with something to say, and readers of what their own halves see."""

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from medgen.diffusion.denoiser import Denoiser
from medgen.diffusion.prediction import Prediction
from medgen.diffusion.process import RectifiedFlow
from medgen.diffusion.unet import UNet, UNetConfig
from medgen.instruct.reader import ROLES, Read, Reader, ReaderConfig, gathered


def shake(network: nn.Module, size: float = 0.3) -> None:
    """Give layers that begin at zero something to say."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(size * torch.randn_like(parameter))


@pytest.fixture(params=[2, 3], ids=["2-D", "3-D"])
def reading(request: pytest.FixtureRequest) -> SimpleNamespace:
    """`network`, `reader` (silent), `denoise`, `noisy`, `context`, `tokens(roles)`, `read`."""
    axes = request.param
    torch.manual_seed(0)
    config = UNetConfig(
        spatial_dims=axes,
        in_channels=2,
        out_channels=2,
        widths=(8, 16),
        attention=(False, True),
        norm_groups=4,
        context_width=8,
        is_summarised=True,
    )
    network = UNet(config)
    shake(network, 0.05)
    network.eval()
    reader = Reader(ReaderConfig(axes=axes, features=16, width=16, layers=1, heads=2)).eval()
    context = torch.randn(1, 3, 8)
    grid = [8, 4, 4][:axes]

    def predict(noisy: Tensor, time: Tensor) -> Tensor:
        answer: Tensor = network(noisy, time, context.expand(len(noisy), -1, -1))
        return answer

    def tokens(roles: Sequence[int], seed: int = 0) -> list[Tensor]:
        """Of references with these roles, each its own image."""
        generator = torch.Generator().manual_seed(seed)
        images = torch.randn((len(roles), 2, *grid), generator=generator)
        with torch.no_grad():
            features = network.lowered(images, torch.zeros(1), context.expand(len(roles), -1, -1))
            return list(reader.read(features, torch.tensor(roles))[:, None])

    def read(*items: list[Tensor]) -> Read:
        return gathered(items, torch.zeros(1, 16))

    return SimpleNamespace(
        network=network,
        reader=reader,
        denoise=Denoiser(predict, RectifiedFlow(), Prediction.FLOW),
        noisy=torch.randn(2, 2, *grid),
        context=context,
        tokens=tokens,
        read=read,
        shake=shake,
        roles=ROLES,
    )
