"""The derivatives a process claims are the derivatives it has, and its ends are its ends."""

import pytest
import torch

from medgen.diffusion.betas import scaled_linear_betas
from medgen.diffusion.process import PROCESSES, Cosine, RectifiedFlow, VariancePreserving

EVERY = pytest.mark.parametrize("process", [make() for make in PROCESSES.values()], ids=PROCESSES)


def at(process, time):
    return process.at(torch.tensor(time, dtype=torch.float64))


@EVERY
def test_derivatives(process):
    t = torch.linspace(0.0105, 0.9995, 200, dtype=torch.float64, requires_grad=True)
    mix = process.at(t)
    (d_alpha,) = torch.autograd.grad(mix.alpha.sum(), t, retain_graph=True)
    (d_sigma,) = torch.autograd.grad(mix.sigma.sum(), t)
    assert torch.allclose(d_alpha, mix.d_alpha)
    assert torch.allclose(d_sigma, mix.d_sigma)


@EVERY
def test_starts_clean_and_loses_signal_all_the_way(process):
    clean = at(process, 0.0)
    assert (float(clean.alpha), float(clean.sigma)) == (1, 0)
    mix = process.at(torch.linspace(0, 1, 500, dtype=torch.float64))
    assert (mix.alpha.diff() < 0).all()
    assert (mix.sigma.diff() > -1e-12).all()


@pytest.mark.parametrize("name", ["rectified-flow", "cosine", "latent-diffusion-zero-snr"])
def test_these_end_as_pure_noise(name):
    noise = at(PROCESSES[name](), 1.0)
    assert (float(noise.alpha), float(noise.sigma)) == (0, 1)


@pytest.mark.parametrize("name", sorted(set(PROCESSES) - {"rectified-flow"}))
def test_variance_is_preserved(name):
    mix = PROCESSES[name]().at(torch.linspace(0, 1, 3001, dtype=torch.float64))
    power = mix.alpha.square() + mix.sigma.square()
    torch.testing.assert_close(power, torch.ones_like(power), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("zero_terminal_snr", "noise", "signal"), [(True, 1.0, 0.0), (False, 0.9953, 0.0047)]
)
def test_variance_at_the_end(zero_terminal_snr, noise, signal):
    process = VariancePreserving(scaled_linear_betas(), zero_terminal_snr=zero_terminal_snr)
    mix = at(process, 1.0)
    assert float(mix.sigma**2) == pytest.approx(noise, abs=5e-5)
    assert float(mix.alpha**2) == pytest.approx(signal, abs=5e-5)


def test_a_discrete_step_is_a_time():
    betas = scaled_linear_betas()
    times = torch.arange(1, 1001, dtype=torch.float64) / 1000
    left = VariancePreserving(betas).at(times).alpha.square()
    torch.testing.assert_close(left, (1 - betas).cumprod(0))


def test_each_item_is_mixed_at_its_own_time():
    clean, noise = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    noisy = RectifiedFlow().at(torch.tensor([0.0, 1.0]))(clean, noise)
    assert torch.equal(noisy, torch.stack([clean[0], noise[1]]))


def test_the_mix_follows_the_type_of_the_time_and_then_of_the_latent():
    mix = Cosine().at(torch.tensor([0.5], dtype=torch.float64))
    assert mix.alpha.dtype == torch.float64
    assert mix.over(torch.zeros(2, 1, 4)).alpha.dtype == torch.float32
