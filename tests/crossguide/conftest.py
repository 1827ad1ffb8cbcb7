"""Two small flows in company, one of images and one of sequences, that have nothing to say yet."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from medgen.crossguide.environment import EnvironmentConfig, EnvironmentEncoder
from medgen.crossguide.flows import CrossGuide, Layout, Voice
from medgen.crossguide.listener import listener_for
from medgen.diffusion.denoiser import Denoiser
from medgen.diffusion.prediction import Prediction
from medgen.diffusion.process import RectifiedFlow
from medgen.diffusion.sequence import SequenceConfig, SequenceDenoiser
from medgen.diffusion.unet import UNet, UNetConfig

SHAPES = {"text": (4, 6), "xray": (2, 8, 8)}


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    unet = UNet(
        UNetConfig(
            spatial_dims=2,
            in_channels=2,
            out_channels=2,
            widths=(8, 16),
            attention=(False, True),
            norm_groups=4,
            context_width=8,
        )
    )
    sequence = SequenceDenoiser(
        SequenceConfig(channels=4, length=6, width=16, layers=2, heads=2, context_width=8)
    )
    for network in (unet, sequence):
        shake(network)
    return {"text": sequence.eval(), "xray": unet.eval()}


def shake(network: nn.Module, size: float = 0.05) -> None:
    """Give zero-initialised layers something to say."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(size * torch.randn_like(parameter))


def guide_of(flows: dict[str, nn.Module]) -> CrossGuide:
    torch.manual_seed(1)
    environments = {
        "text": EnvironmentEncoder(EnvironmentConfig(1, 4, halvings=0, width=16)),
        "xray": EnvironmentEncoder(EnvironmentConfig(2, 2, halvings=1, width=16)),
    }
    widths = dict.fromkeys(environments, 16)
    listeners = {
        name: listener_for(
            network, {n: w for n, w in widths.items() if n != name}, width=16, heads=2
        )
        for name, network in flows.items()
    }
    return CrossGuide(environments, listeners).eval()


def voices_of(flows: dict[str, nn.Module]) -> dict[str, Voice]:
    context = torch.linspace(-1, 1, 24).view(1, 3, 8)

    def asked(network: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
        def predict(noisy: Tensor, time: Tensor) -> Tensor:
            answer: Tensor = network(noisy, time, context.expand(len(noisy), -1, -1))
            return answer

        return predict

    return {
        name: Voice(network, Denoiser(asked(network), RectifiedFlow(), Prediction.FLOW))
        for name, network in flows.items()
    }


@pytest.fixture
def company() -> SimpleNamespace:
    """`flows`, `voices`, `guide` (silent), `layout`, `process`, `noise(batch)` and `shake`."""
    flows = networks()

    def noise(batch: int, seed: int = 0) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return {
            name: torch.randn((batch, *shape), generator=generator)
            for name, shape in SHAPES.items()
        }

    return SimpleNamespace(
        flows=flows,
        voices=voices_of(flows),
        guide=guide_of(flows),
        layout=Layout(SHAPES),
        process=RectifiedFlow(),
        noise=noise,
        shake=shake,
    )
