"""Gaussians of a variational encoder, against torch's own."""

import torch
from torch.distributions import Normal, kl_divergence

from medgen.latents.posterior import Posterior, divergence, sampled


def posterior() -> Posterior:
    generator = torch.Generator().manual_seed(0)
    return Posterior(
        torch.randn(2, 3, 4, generator=generator), torch.randn(2, 3, 4, generator=generator)
    )


def test_divergence_is_that_of_torch() -> None:
    mean, spread = posterior()
    oracle = kl_divergence(Normal(mean, (spread / 2).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(divergence(posterior()), oracle)


def test_samples_have_the_mean_and_the_spread() -> None:
    mean, spread = posterior()
    noise = torch.randn(4000, 2, 3, 4, generator=torch.Generator().manual_seed(1))
    drawn = torch.stack([sampled(posterior(), one) for one in noise])
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.15, rtol=0)
    torch.testing.assert_close(drawn.var(0).log(), spread, atol=0.15, rtol=0)
