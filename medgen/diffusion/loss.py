"""What a denoiser is trained on: at which times, and how wrong it was."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from medgen.diffusion.ancestral import learned_log_variance, posterior
from medgen.diffusion.denoiser import Guess, Network
from medgen.diffusion.prediction import Prediction, min_snr_weight, target
from medgen.diffusion.process import AbstractProcess
from medgen.shapes import Latent

Times = Float[Tensor, "batch"]
"""One time in (0, 1] for each item."""

Losses = Float[Tensor, "batch"]
"""One number for each item; their mean is the loss."""


def uniform_times(count: int, generator: torch.Generator, *, earliest: float = 1e-3) -> Times:
    """Times between `earliest` and 1, one in each of `count` equal parts, in random order.

    Args:
        count: How many.
        generator: Of this training step.
        earliest: Above 0, where there is no noise to take away.

    Source: the parts are Kingma et al. 2021, appendix I.1 (arXiv:2107.00630).
    """
    places = torch.randperm(count, generator=generator)
    inside = torch.rand(count, generator=generator)
    return 1 - (1 - earliest) * (places + inside) / count


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


@dataclass(frozen=True)
class Objective:
    """The weighted error of a network's prediction.

    Attributes:
        process: How clean and noise mix.
        prediction: What the network is to say.
        norm: `l2` is the mean squared error, `l1` the mean absolute one.
        snr_limit: Min-SNR weighting (the paper's limit is 5); None weighs all times alike.
    """

    process: AbstractProcess
    prediction: Prediction
    norm: Literal["l1", "l2"] = "l2"
    snr_limit: float | None = None

    def __call__(self, network: Network, clean: Latent, noise: Latent, time: Times) -> Losses:
        """How wrong the network is about each item."""
        mix = self.process.at(time)
        error = network(mix(clean, noise), time) - target(self.prediction, mix, clean, noise)
        error = error.float()  # autocast predicts in bfloat16
        size = error.square() if self.norm == "l2" else error.abs()
        losses = size.flatten(1).mean(1)
        if self.snr_limit is None:
            return losses
        return losses * min_snr_weight(self.prediction, mix, self.snr_limit)


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
