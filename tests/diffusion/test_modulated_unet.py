"""The network treats items alone, pads like an edge repeated, and is modulated only when told."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from medgen.diffusion.modulated_unet import ModulatedUNet, ModulatedUNetConfig
from medgen.diffusion.padding import crop_to_grid, pad_to_multiple

CONFIG = ModulatedUNetConfig(in_channels=3, out_channels=2, conditions=4, widths=(8, 8, 16))


@pytest.fixture
def network() -> ModulatedUNet:
    torch.manual_seed(0)
    return ModulatedUNet(CONFIG).eval()


@pytest.fixture
def told(network: ModulatedUNet) -> ModulatedUNet:
    """The network after some training, as far as the modulation goes."""
    for layer in network.modulation:
        nn.init.normal_(layer.weight, std=0.2)
    return network


def asked(batch: int, grid: tuple[int, ...] = (8, 8, 12)) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    return torch.randn(batch, 3, *grid), torch.rand(batch), torch.randn(batch, 4)


@torch.no_grad()
def test_a_batch_is_its_items(told: ModulatedUNet) -> None:
    latent, time, conditions = asked(3)
    whole = told(latent, time, conditions)
    items = [told(latent[i : i + 1], time[i : i + 1], conditions[i : i + 1]) for i in range(3)]
    assert (whole - torch.cat(items)).abs().max() < 1e-5


@torch.no_grad()
def test_one_time_serves_the_whole_batch(told: ModulatedUNet) -> None:
    latent, _, conditions = asked(2)
    one = told(latent, torch.tensor([0.3]), conditions)
    assert torch.equal(one, told(latent, torch.tensor([0.3, 0.3]), conditions))


@torch.no_grad()
def test_a_new_network_is_not_modulated(network: ModulatedUNet) -> None:
    latent, time, conditions = asked(2)
    answer = network(latent, time, conditions)
    assert torch.equal(answer, network(latent, 1 - time, -conditions))


@torch.no_grad()
def test_time_and_conditions_change_the_answer_once_trained(told: ModulatedUNet) -> None:
    latent, time, conditions = asked(2)
    answer = told(latent, time, conditions)
    assert (answer - told(latent, 1 - time, conditions)).abs().max() > 1e-3
    assert (answer - told(latent, time, -conditions)).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("grid", [(9, 8, 12), (5, 7, 11)])
def test_odd_grids_are_the_padded_grid_cropped(told: ModulatedUNet, grid: tuple[int, ...]) -> None:
    latent, time, conditions = asked(1, grid)
    padded = told(pad_to_multiple(latent, 4), time, conditions)
    assert torch.equal(told(latent, time, conditions), crop_to_grid(padded, grid))


def test_gradients_reach_every_parameter(told: ModulatedUNet) -> None:
    latent, time, conditions = asked(2)
    told(latent, time, conditions).square().sum().backward()
    silent = [name for name, p in told.named_parameters() if p.grad is None]
    assert not silent


def test_gradients_reach_every_parameter_of_the_detail() -> None:
    detailed = ModulatedUNet(replace(CONFIG, detail=6))
    nn.init.normal_(detailed.detail[-1].weight)
    latent, time, conditions = asked(2)
    detailed(latent, time, conditions).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in detailed.detail.parameters())


@torch.no_grad()
def test_autocast_leaves_the_answer_in_float32(told: ModulatedUNet) -> None:
    latent, time, conditions = asked(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert told(latent, time, conditions).dtype == torch.float32


def test_two_dimensions_are_a_number_in_the_config() -> None:
    config = ModulatedUNetConfig(
        spatial_dims=2, in_channels=3, out_channels=2, conditions=4, widths=(8, 8)
    )
    answer = ModulatedUNet(config)(torch.randn(1, 3, 10, 9), torch.ones(1), torch.zeros(1, 4))
    assert answer.shape == (1, 2, 10, 9)


@torch.no_grad()
def test_detail_is_silent_at_first_and_then_speaks_of_each_cell_alone(
    network: ModulatedUNet,
) -> None:
    detailed = ModulatedUNet(replace(CONFIG, detail=6)).eval()
    missing = detailed.load_state_dict(network.state_dict(), strict=False)
    assert all(name.startswith("detail.") for name in missing.missing_keys)
    latent, time, conditions = asked(2, (9, 8, 12))
    answer = network(latent, time, conditions)
    assert torch.equal(detailed(latent, time, conditions), answer)
    nn.init.normal_(detailed.detail[-1].weight)
    said = detailed(latent, time, conditions) - answer
    assert said.abs().min() > 0
    # The same cells in another order: the layers of detail say the same of each.
    nn.init.zeros_(detailed.detail[0].weight[:, :8])  # of the features, which see around them
    alone = detailed(latent, time, conditions) - answer
    other = detailed(latent.flip(2), time, conditions) - network(latent.flip(2), time, conditions)
    assert (alone - other.flip(2)).abs().max() < 1e-5


def test_the_names_that_trained_weights_have_stay() -> None:
    names = {name.split(".")[0] for name in ModulatedUNet(CONFIG).state_dict()}
    assert names == {"entry", "down", "up", "exit", "embed", "modulation"}
