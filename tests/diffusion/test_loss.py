"""Times have the stated logits, and a wrong variance costs what two Gaussians differ by."""

import pytest
import torch

from medgen.diffusion.ancestral import learned_log_variance, posterior
from medgen.diffusion.denoiser import Guess
from medgen.diffusion.loss import logit_normal_times, variance_loss
from medgen.diffusion.process import PROCESSES


def seeded():
    return torch.Generator().manual_seed(0)


def test_logit_normal_times_have_the_stated_logits():
    times = logit_normal_times(20_000, seeded(), mean=-1.0, deviation=0.7)
    logits = times.logit()
    assert float(logits.mean()) == pytest.approx(-1, abs=0.02)
    assert float(logits.std()) == pytest.approx(0.7, abs=0.02)


def test_times_belong_to_their_generator():
    assert torch.equal(logit_normal_times(8, seeded()), logit_normal_times(8, seeded()))


def divergence(clean, said_clean, fraction, time):
    process = PROCESSES["latent-diffusion"]()
    noisy = process.at(time)(clean, torch.ones_like(clean))
    return variance_loss(process, clean, noisy, time, Guess(said_clean, fraction))


def test_variance_loss_is_the_divergence_of_two_gaussians():
    time, fraction = torch.tensor([0.5]), torch.full((1, 1, 3), 0.4)
    clean, said = torch.zeros(1, 1, 3), torch.full((1, 1, 3), 0.2)
    process = PROCESSES["latent-diffusion"]()
    step = posterior(process.at(time), process.at(time - 1e-3))
    ours = torch.distributions.Normal(
        step.of_clean * said, (learned_log_variance(step, fraction) / 2).exp()
    )
    true = torch.distributions.Normal(step.of_clean * clean, step.smallest.sqrt())
    expected = torch.distributions.kl_divergence(true, ours).mean()
    torch.testing.assert_close(divergence(clean, said, fraction, time)[0], expected)


def test_variance_loss_is_nothing_where_nothing_is_wrong_or_drawn():
    clean = torch.randn(2, 1, 3)
    times = torch.tensor([0.5, 0.001])
    losses = divergence(clean, clean, torch.zeros(2, 1, 3), times)
    torch.testing.assert_close(losses, torch.zeros(2), atol=1e-6, rtol=0)
    assert float(divergence(clean, clean + 1, torch.ones(2, 1, 3), times)[1]) == 0


def test_variance_loss_teaches_the_variance_only():
    clean = torch.randn(1, 1, 3)
    said, fraction = torch.randn(1, 1, 3).requires_grad_(), torch.full((1, 1, 3), 0.5)
    fraction.requires_grad_()
    divergence(clean, said, fraction, torch.tensor([0.5])).sum().backward()
    assert said.grad is None
    assert fraction.grad.any()
