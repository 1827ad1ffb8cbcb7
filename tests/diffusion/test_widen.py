"""Networks that gain channels: the answer is the same, and what is new can learn."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from medgen.diffusion.modulated_unet import ModulatedUNet, ModulatedUNetConfig, NormName
from medgen.diffusion.widen import can_widen, widened

CONFIG = ModulatedUNetConfig(
    in_channels=3, out_channels=2, conditions=4, widths=(8, 12, 16, 16), detail=8
)
WIDER = (12, 12, 24, 24)
TIME, ASKED = torch.tensor([0.3]), torch.tensor([[1.0, 0.0, 0.5, 0.0]])


def trained(config: ModulatedUNetConfig = CONFIG) -> ModulatedUNet:
    """A network in which nothing is zero any more."""
    torch.manual_seed(0)
    network = ModulatedUNet(config).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network


def image() -> torch.Tensor:
    return torch.randn(1, 3, 16, 8, 24, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize("norm", ["affine", "instance"])
@pytest.mark.parametrize("detail", [0, 8])
@pytest.mark.parametrize("widths", [WIDER, (16, 20, 24, 24), (8, 12, 16, 16)])
def test_the_answer_stays(norm: NormName, detail: int, widths: tuple[int, ...]) -> None:
    network = trained(replace(CONFIG, norm=norm, detail=detail))
    wide = widened(network, widths, inputs=3)
    assert wide.config == replace(network.config, widths=widths)
    before, after = (one(image(), TIME, ASKED) for one in (network, wide))
    assert (after - before).abs().max() < 1e-5 * before.abs().max()


def test_every_new_channel_is_heard_after_one_step() -> None:
    """And all that was there still learns, so that nothing is cut off."""
    wide = widened(trained(replace(CONFIG, norm="affine")), WIDER, inputs=3).train()
    optimizer = torch.optim.SGD(wide.parameters(), lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        wide(image(), TIME, ASKED).square().mean().backward()
        optimizer.step()
    for name, parameter in wide.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum(tuple(range(1, parameter.ndim))).min() > 0, name


@torch.no_grad()
def test_more_inputs_change_nothing_at_first() -> None:
    network = trained(replace(CONFIG, norm="affine"))
    wide = widened(network, WIDER, inputs=5)
    more = torch.cat([image(), torch.randn(1, 2, *image().shape[2:])], dim=1)
    before, after = network(image(), TIME, ASKED), wide(more, TIME, ASKED)
    assert (after - before).abs().max() < 1e-5 * before.abs().max()
    with pytest.raises(ValueError, match="cannot hear 3 only"):
        widened(wide, WIDER, inputs=3)


def test_what_it_was_made_from_stays() -> None:
    network = trained()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    nn.init.zeros_(widened(network, WIDER, inputs=3).entry.conv_0.conv.weight)
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())


@pytest.mark.parametrize("widths", [(8, 12, 16), (8, 12, 12, 12), (8, 12, 16, 24), (6, 12, 16, 16)])
def test_narrower_or_otherwise_joined_networks_are_refused(widths: tuple[int, ...]) -> None:
    assert not can_widen(CONFIG.widths, widths)
    with pytest.raises(ValueError, match="cannot become"):
        widened(trained(), widths, inputs=3)
