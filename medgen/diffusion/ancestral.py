"""DDPM's sampler: draw each next latent from the Gaussian that the process leaves for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from medgen.diffusion.denoiser import Denoise, DenoiseWithVariance, Guess
from medgen.diffusion.noise import Generators, draw_noise
from medgen.diffusion.process import AbstractProcess, Mix
from medgen.diffusion.sampler import Step, added_variance, smallest_deviation, stretches
from medgen.diffusion.schedule import Stops
from medgen.shapes import Latent, Time

Variance = Literal["small", "large"]
"""Fixed variance of a step: the posterior's, right for one known clean latent, or the process's
own, right for clean latents that are unit noise themselves."""


@dataclass(frozen=True)
class Posterior:
    """The latent one step cleaner, given the latent here and the clean one.

    Attributes:
        of_noisy: Weight of the latent here in the mean.
        of_clean: Weight of the clean latent in the mean.
        smallest: The true variance.
        largest: The variance that the process adds from there to here.

    Source: Ho et al. 2020, eq. 7 (arXiv:2006.11239).
    """

    of_noisy: Tensor
    of_clean: Tensor
    smallest: Tensor
    largest: Tensor


def posterior(here: Mix, there: Mix) -> Posterior:
    """The posterior of a step from here to there, of any length."""
    added = added_variance(here, there)
    return Posterior(
        of_noisy=here.alpha / there.alpha * (there.sigma / here.sigma).square(),
        of_clean=there.alpha * added / here.sigma.square(),
        smallest=smallest_deviation(here, there).square(),
        largest=added,
    )


def learned_log_variance(step: Posterior, fraction: Latent) -> Latent:
    """The log-variance `fraction` of the way from the smallest to the largest.

    Args:
        step: Of a step that does not end at time 0, where the smallest variance is 0.
        fraction: 0 … 1 for each number of the latent; cut outside.

    Source: Nichol & Dhariwal 2021, eq. 15 (arXiv:2102.09672).
    """
    return torch.lerp(step.smallest.log(), step.largest.log(), fraction.clamp(0, 1))


def sample_ddpm(
    denoise: Denoise,
    process: AbstractProcess,
    noise: Latent,
    stops: Stops,
    *,
    variance: Variance = "small",
    generators: Generators | None = None,
) -> Iterator[Step]:
    """Yield every step of DDPM's ancestral sampler with a fixed variance.

    Args:
        denoise: The denoiser, with context and guidance already inside.
        process: How clean and noise mix.
        noise: The latent at `stops[0]`: unit Gaussian noise where that is 1.
        stops: Decreasing times; `trailing_stops(T)` are the paper's.
        variance: Which of the paper's two.
        generators: One an item; needed.

    Raises:
        ValueError: If there are no generators.

    Source: Ho et al. 2020, algorithm 2 (arXiv:2006.11239).
    """
    fraction = float(variance == "large")

    def denoise_with_variance(noisy: Latent, time: Time) -> Guess:
        return Guess(denoise(noisy, time), torch.full_like(noisy, fraction))

    return sample_ddpm_learned(denoise_with_variance, process, noise, stops, generators=generators)


@torch.no_grad()
def sample_ddpm_learned(
    denoise: DenoiseWithVariance,
    process: AbstractProcess,
    noise: Latent,
    stops: Stops,
    *,
    generators: Generators | None = None,
) -> Iterator[Step]:
    """Yield every step of DDPM's ancestral sampler with a learned variance.

    Args:
        denoise: `Denoiser.with_variance`, with context and guidance already inside.
        process: How clean and noise mix.
        noise: The latent at `stops[0]`: unit Gaussian noise where that is 1.
        stops: Decreasing times.
        generators: One an item; needed.

    Raises:
        ValueError: If there are no generators.

    Source: Nichol & Dhariwal 2021, section 3.1 (arXiv:2102.09672).
    """
    if generators is None:
        raise ValueError("DDPM draws noise at every step; give it generators")
    latent = noise
    for stretch in stretches(process, stops, noise):
        step = posterior(stretch.here, stretch.there)
        guess = denoise(latent, stretch.now)
        latent = step.of_noisy * latent + step.of_clean * guess.clean
        if not stretch.is_last:
            deviation = (learned_log_variance(step, guess.fraction) / 2).exp()
            drawn = draw_noise(generators, noise.shape[1:], noise.device)
            latent = latent + deviation * drawn.to(latent)
        yield Step(stretch.after, latent, guess.clean)
