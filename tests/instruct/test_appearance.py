"""A look changes grey levels and sharpness, and neither black, white, nor what lies where."""

import pytest
import torch

from medgen.instruct.appearance import APPEARANCES, PLAIN, Appearance, coarsened

RAMP = torch.linspace(-1, 1, 101)[None]


def test_plain_is_plain() -> None:
    torch.testing.assert_close(APPEARANCES[PLAIN](RAMP, torch.Generator()), RAMP)


CURVES = [name for name, one in APPEARANCES.items() if not one.noise and one.coarse == 1]


@pytest.mark.parametrize("name", CURVES)
def test_black_and_white_and_their_order_stay(name: str) -> None:
    made = APPEARANCES[name](RAMP, torch.Generator())
    assert (made.diff() >= 0).all()
    torch.testing.assert_close(made[:, [0, -1]], RAMP[:, [0, -1]])


def test_a_curve_steepens_the_middle() -> None:
    """Its slope at the middle grey is 1 + curve."""
    made = Appearance(curve=0.5)(RAMP, torch.Generator())
    slope = (made[0, 51] - made[0, 49]) / (RAMP[0, 51] - RAMP[0, 49])
    assert slope == pytest.approx(1.5, abs=1e-2)


def test_noise_is_as_strong_as_it_says_and_comes_again() -> None:
    grey, look = torch.zeros(1, 100, 100), Appearance(noise=0.1)
    made = look(grey, torch.Generator().manual_seed(3))
    assert made.std() == pytest.approx(0.1, rel=0.05)
    assert torch.equal(made, look(grey, torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("space", [(8, 8), (8, 8, 8)])
def test_coarse_keeps_the_mean_and_loses_what_is_fine(space: tuple[int, ...]) -> None:
    fine = torch.ones(1, *space)
    fine[..., ::2] = -1
    assert coarsened(fine, 4).abs().max() < 1e-6
    torch.testing.assert_close(
        coarsened(torch.full_like(fine, 0.3), 4), 0.3 * torch.ones_like(fine)
    )
