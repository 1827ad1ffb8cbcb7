"""Norms that are fixed: exact for what was measured, blind to what is far away."""

import torch
import torch.nn.functional as F
from torch import nn

from medgen.diffusion.modulated_unet import ModulatedUNet, ModulatedUNetConfig
from medgen.diffusion.still import with_fixed_norms

CONFIG = ModulatedUNetConfig(in_channels=3, out_channels=2, conditions=4, widths=(8, 12, 16))
TIME, ASKED = torch.tensor([0.3]), torch.tensor([[1.0, 0.0, 0.5, 0.0]])


def trained() -> ModulatedUNet:
    """A network whose norms and modulation are not what they are at first."""
    torch.manual_seed(0)
    network = ModulatedUNet(CONFIG).eval()
    for name, parameter in network.named_parameters():
        if ".adn.N." in name or name.startswith("modulation"):
            nn.init.normal_(parameter, mean=float(name.endswith("N.weight")), std=0.2)
    return network


def image(seed: int) -> torch.Tensor:
    return torch.randn(1, 3, 8, 12, 8, generator=torch.Generator().manual_seed(seed)) * (1 + seed)


@torch.no_grad()
def test_the_one_image_that_was_shown_is_answered_as_before() -> None:
    network = trained()
    still = with_fixed_norms(network, lambda: network(image(1), TIME, ASKED))
    one, other = still(image(1), TIME, ASKED), network(image(1), TIME, ASKED)
    assert (one - other).abs().max() < 1e-5 * other.abs().max()
    assert (still(image(2), TIME, ASKED) - network(image(2), TIME, ASKED)).abs().max() > 0.1


@torch.no_grad()
def test_images_count_alike_in_batches_or_alone() -> None:
    network = trained()
    both = torch.cat([image(1), image(2)])
    one = with_fixed_norms(network, lambda: network(both, TIME, ASKED.expand(2, -1)))
    other = with_fixed_norms(network, lambda: [network(image(n), TIME, ASKED) for n in (1, 2)])
    for name, weight in one.state_dict().items():
        assert torch.allclose(weight, other.state_dict()[name], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_air_far_away_changes_nothing() -> None:
    """What lies beyond the receptive field is not heard; with norms, it is."""
    network = trained()
    still = with_fixed_norms(network, lambda: network(image(1), TIME, ASKED))
    wide = F.pad(torch.randn(1, 3, 8, 8, 96), (0, 64))
    for answers, is_equal in ((still, True), (network, False)):
        near, far = (answers(one, TIME, ASKED)[..., :32] for one in (wide, wide[..., :96]))
        assert torch.allclose(near, far, atol=1e-5) == is_equal


def test_what_it_was_made_from_stays() -> None:
    network = trained()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    still = with_fixed_norms(network, lambda: network(image(1), TIME, ASKED))
    assert still.config.norm == "affine"
    assert not still.training
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())
    assert not any(block._forward_hooks for block in network.modules())
