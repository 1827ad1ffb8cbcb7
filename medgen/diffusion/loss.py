"""What a denoiser is trained on: at which times, and how wrong its variance was."""

import torch
from jaxtyping import Float
from torch import Tensor

from medgen.diffusion.ancestral import learned_log_variance, posterior
from medgen.diffusion.denoiser import Guess
from medgen.diffusion.process import AbstractProcess
from medgen.shapes import Latent

Times = Float[Tensor, "batch"]
"""One time in (0, 1] for each item."""

Losses = Float[Tensor, "batch"]
"""One number for each item; their mean is the loss."""


def logit_normal_times(
    count: int,
    generator: torch.Generator,
    *,
    mean: float = 0.0,
    deviation: float = 1.0,
) -> Times:
    """Times whose logit is Gaussian: mostly in the middle, where it is hardest.

    Source: Esser et al. 2024, section 3.1 (arXiv:2403.03206).
    """
    return (mean + deviation * torch.randn(count, generator=generator)).sigmoid()


def variance_loss(
    process: AbstractProcess,
    clean: Latent,
    noisy: Latent,
    time: Times,
    guess: Guess,
    *,
    timesteps: int = 1000,
) -> Losses:
    """How far the learned step of 1 / `timesteps` is from the true one, in nats for each number.

    Only the variance learns from it: the clean latent is held fixed. Items in their last step are
    not counted, since no noise is drawn there.

    Args:
        process: How clean and noise mix.
        clean: The true clean latent.
        noisy: The latent at `time`.
        time: One for each item.
        guess: What the network says of `noisy`; from `Denoiser.with_variance`.
        timesteps: Of the process; the paper adds 0.001 of this loss to the mean squared error.

    Source: Nichol & Dhariwal 2021, eq. 16 (arXiv:2102.09672).
    """
    counts = time > 1.5 / timesteps
    after = torch.where(counts, time, 2 / timesteps) - 1 / timesteps
    here = process.at(torch.where(counts, time, 2 / timesteps)).over(noisy)
    step = posterior(here, process.at(after).over(noisy))
    gap = step.of_clean * (clean - guess.clean.detach())
    said = learned_log_variance(step, guess.fraction)
    true = step.smallest.log()
    divergence = (said - true + (true - said).exp() + gap.square() * (-said).exp() - 1) / 2
    return divergence.flatten(1).mean(1) * counts
