"""The schedules end with as little signal as the papers say."""

import pytest
import torch

from medgen.diffusion.betas import (
    cosine_betas,
    linear_betas,
    scaled_linear_betas,
    sigmoid_betas,
    with_zero_terminal_snr,
)

SCHEDULES = {
    "linear": linear_betas(),
    "scaled_linear": scaled_linear_betas(),
    "cosine": cosine_betas(),
    "sigmoid": sigmoid_betas(),
}


def signal_left(betas):
    return (1 - betas).cumprod(0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_betas_are_variances_of_small_steps(name):
    betas = SCHEDULES[name]
    assert betas.shape == (1000,)
    assert betas.dtype == torch.float64
    assert ((betas > 0) & (betas < 1)).all()


def test_signal_left_at_the_end():
    assert float(signal_left(linear_betas())[-1]) == pytest.approx(4.036e-5, rel=1e-3)
    assert float(signal_left(scaled_linear_betas())[-1]) == pytest.approx(0.00466, rel=1e-3)
    maisi = scaled_linear_betas(1.5e-3, 1.95e-2)
    assert float(signal_left(maisi)[-1]) == pytest.approx(1.4e-4, rel=0.05)


@pytest.mark.parametrize("name", SCHEDULES)
def test_zero_terminal_snr_keeps_the_start_and_silences_the_end(name):
    before, after = SCHEDULES[name], with_zero_terminal_snr(SCHEDULES[name])
    assert float(after[0]) == pytest.approx(float(before[0]))
    assert float(after[-1]) == 1
    assert float(signal_left(after)[-1]) == 0
    assert (signal_left(after).diff() < 0).all()
