"""What a denoiser is told is read by laws: order is nothing, and weights are multiples."""

import pytest
import torch

from medgen.diffusion.conditioner import Condition, Conditioner, ConditionerConfig

CONFIG = ConditionerConfig(sources=(6, 10), width=16, length=4, layers=2, heads=2)


@pytest.fixture
def conditioner() -> Conditioner:
    torch.manual_seed(0)
    return Conditioner(CONFIG).eval()


def condition(source: int, seed: int, *, tokens: int = 5, weight: float = 1.0) -> Condition:
    generator = torch.Generator().manual_seed(seed)
    said = torch.randn(2, tokens, CONFIG.sources[source], generator=generator)
    return Condition(said, torch.ones(2, tokens).bool(), source, torch.full((2,), weight))


def test_order_means_nothing(conditioner: Conditioner) -> None:
    one, other = condition(0, 1), condition(1, 2)
    torch.testing.assert_close(conditioner([one, other]), conditioner([other, one]))


def test_no_weight_is_not_being_told(conditioner: Conditioner) -> None:
    one, silent = condition(0, 1), condition(1, 2, weight=0.0)
    torch.testing.assert_close(conditioner([one, silent]), conditioner([one]))


def test_twice_at_half_the_weight_is_once(conditioner: Conditioner) -> None:
    other = condition(1, 2)
    half = condition(0, 1, weight=0.5)
    torch.testing.assert_close(
        conditioner([half, half, other]), conditioner([condition(0, 1), other])
    )


def test_weight_decides_between_conditions(conditioner: Conditioner) -> None:
    one = conditioner([condition(0, 1)])
    other = conditioner([condition(1, 2)])
    much = conditioner([condition(0, 1, weight=1e6), condition(1, 2)])
    little = conditioner([condition(0, 1, weight=1e-6), condition(1, 2)])
    torch.testing.assert_close(much, one, atol=1e-3, rtol=0)
    torch.testing.assert_close(little, other, atol=1e-3, rtol=0)
    assert (one - other).abs().max() > 0.01


def test_padding_is_not_read(conditioner: Conditioner) -> None:
    short, long = condition(0, 1), condition(0, 1, tokens=8)
    said = long.tokens.clone()
    said[:, :5], said[:, 5:] = short.tokens, 1e3
    mask = long.mask.clone()
    mask[:, 5:] = False
    padded = Condition(said, mask, 0, long.weight)
    torch.testing.assert_close(conditioner([padded]), conditioner([short]))


def test_items_of_a_batch_do_not_hear_each_other(conditioner: Conditioner) -> None:
    one = condition(0, 1)
    changed = one.tokens.clone()
    changed[1] += 1
    together = conditioner([Condition(changed, one.mask, 0, one.weight)])
    torch.testing.assert_close(together[0], conditioner([one])[0])
    assert (together[1] - conditioner([one])[1]).abs().max() > 0.01
