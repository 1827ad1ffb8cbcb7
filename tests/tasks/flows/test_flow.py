"""The flow's network: patches fold without loss, guidance and conditions reach the answer."""

from dataclasses import replace

import pytest
import torch

from medgen.diffusion.conditioner import ConditionerConfig
from medgen.diffusion.guidance import Guidance
from medgen.errors import UsageError
from medgen.modality import Modality
from medgen.tasks.flows.conditions import Told, conditions_of
from medgen.tasks.flows.flow import Flow, FlowConfig, folded, unfolded

READER = ConditionerConfig((6, 6, 6, 6, 4), 16, 3, 1, 2)
IMAGE = FlowConfig(channels=2, grid=(8, 8), patch=2, widths=(32, 32), heads=2, conditioner=READER)
TEXT = FlowConfig(Modality.TEXT, 3, (8,), 1, (16,), 1, (True,), 2, READER)


@pytest.mark.parametrize("grid", [(8,), (8, 4), (4, 6, 8)])
def test_folding_is_undone(grid: tuple[int, ...]) -> None:
    latent = torch.randn(2, 3, *grid)
    coarse = folded(latent, 2)
    assert coarse.shape == (2, 3 * 2 ** len(grid), *(size // 2 for size in grid))
    assert torch.equal(unfolded(coarse, 2), latent)
    assert torch.equal(coarse[:, 0], latent[(slice(None), 0, *[slice(0, None, 2)] * len(grid))])


def flow(config: FlowConfig) -> Flow:
    torch.manual_seed(0)
    made = Flow(config).eval()
    for each in made.network.parameters():  # the last layers start at zero
        if not each.any():
            torch.nn.init.normal_(each, std=0.1)
    return made


def told(seed: int) -> list[list[Told]]:
    generator = torch.Generator().manual_seed(seed)
    said = torch.randn(4, 6, generator=generator)
    return [[Told(Modality.TEXT, said, torch.randn(1, 4, generator=generator))]] * 2


@pytest.mark.parametrize("config", [IMAGE, TEXT])
def test_pushing_goes_from_the_empty_to_the_told(config: FlowConfig) -> None:
    network = flow(config)
    something, nothing = conditions_of(told(1)), conditions_of(told(2))
    noisy, time = torch.randn(2, config.channels, *config.grid), torch.tensor([0.5])

    def clean(scale: float) -> torch.Tensor:
        return network.denoise(something, nothing, Guidance(scale))(noisy, time).detach()

    plain, pushed, empty = clean(1.0), clean(3.0), clean(0.0)
    torch.testing.assert_close(pushed, empty + 3 * (plain - empty), atol=1e-4, rtol=1e-4)
    assert (plain - empty).abs().max() > 1e-3


def test_a_network_that_says_the_clean_latent_makes_the_same_flow() -> None:
    """A perfect network is a perfect flow, in which nothing of the noise is left in one step."""
    network = flow(replace(IMAGE, says_clean=True))
    clean, noise = torch.randn(2, 2, 2, 8, 8)
    network.network.forward = lambda *_, **__: folded(clean, 2)
    for time in (torch.tensor([0.9]), torch.tensor([0.05, 1.0])):
        noisy = network.process.at(time).over(clean)(clean, noise)
        predicted = network.predict(noisy, time, torch.zeros(2, 3, 16))
        torch.testing.assert_close(predicted, clean - noise, atol=1e-4, rtol=1e-4)
    something = conditions_of(told(1))
    made = network.denoise(something, something, Guidance())(noise, torch.tensor([1.0]))
    torch.testing.assert_close(made, clean, atol=1e-5, rtol=1e-5)


def test_errors_count_as_those_of_the_clean_latent_where_there_is_little_noise() -> None:
    time = torch.tensor([0.06, 0.1, 0.6])
    ones = flow(IMAGE).weight(time, 4)
    assert torch.equal(ones, torch.ones(3, 1, 1, 1))
    weight = flow(replace(IMAGE, says_clean=True)).weight(time, 4).flatten()
    # A flow's error is the clean latent's over the time.
    assert torch.allclose(weight[:2] / time[:2].square(), weight[:1] / time[:1].square())
    assert float(weight[2]) == 1


def test_refusals() -> None:
    with pytest.raises(UsageError, match="does not divide"):
        replace(IMAGE, grid=(9, 8))
    with pytest.raises(UsageError, match="cannot have 2 axes"):
        replace(TEXT, grid=(8, 8))


def test_a_network_that_knows_its_place_tells_left_from_right() -> None:
    torch.manual_seed(0)
    network = flow(replace(IMAGE, knows_place=True))
    noisy, time = torch.zeros(1, 2, 8, 8), torch.tensor([0.5])
    mirrored = {}
    for name, made in (("blind", flow(IMAGE)), ("placed", network)):
        for layer in made.network.modules():  # without edges, which also tell where one is
            if isinstance(layer, torch.nn.Conv2d) and layer.padding == (1, 1):
                layer.padding_mode = "circular"
        with torch.no_grad():
            said = made(noisy, time, conditions_of(told(1)[:1]))
        mirrored[name] = float((folded(said, 2) - folded(said, 2).flip(-1)).abs().max())
    assert mirrored["blind"] < 1e-5
    assert mirrored["placed"] > 1e-3
