"""The papers' discrete noise schedules: how much noise each of T small steps adds."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

Betas = Float[Tensor, "timesteps"]
"""Variance that each step adds, in (0, 1]; float64, the first step from clean comes first."""


def linear_betas(start: float = 1e-4, end: float = 2e-2, timesteps: int = 1000) -> Betas:
    """Evenly spaced betas.

    Source: Ho et al. 2020, section 4 (arXiv:2006.11239).
    """
    return torch.linspace(start, end, timesteps, dtype=torch.float64)


def scaled_linear_betas(start: float = 8.5e-4, end: float = 1.2e-2, timesteps: int = 1000) -> Betas:
    """Betas whose square roots are evenly spaced.

    Args:
        start: The first beta; latent diffusion's. MAISI's mask model has 0.0015.
        end: The last beta; latent diffusion's. MAISI's mask model has 0.0195.
        timesteps: How many.

    Source: the released configurations of Rombach et al. 2022 (arXiv:2112.10752) and Guo et al.
    2024 (arXiv:2409.11169).
    """
    return torch.linspace(start**0.5, end**0.5, timesteps, dtype=torch.float64).square()


def cosine_betas(offset: float = 8e-3, largest: float = 0.999, timesteps: int = 1000) -> Betas:
    """Betas for which the share of signal left falls like a squared cosine.

    Args:
        offset: Keeps the first betas from being too small.
        largest: Betas are cut here, for the last ones tend to 1.
        timesteps: How many.

    Source: Nichol & Dhariwal 2021, eq. 17 (arXiv:2102.09672).
    """
    time = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
    left = ((time + offset) / (1 + offset) * math.pi / 2).cos().square()
    return (1 - left[1:] / left[:-1]).clamp(max=largest)


def sigmoid_betas(
    start: float = 1e-4, end: float = 2e-2, spread: float = 6.0, timesteps: int = 1000
) -> Betas:
    """Betas that rise from `start` to `end` along a sigmoid of -`spread` to `spread`.

    Source: Xu et al. 2022, GeoDiff, appendix (arXiv:2203.02923).
    """
    rise = torch.linspace(-spread, spread, timesteps, dtype=torch.float64).sigmoid()
    return start + (end - start) * rise


def with_zero_terminal_snr(betas: Betas) -> Betas:
    """The betas that leave no signal at the last step, and as much as before at the first.

    Schedules that end a little short of pure noise let the mean of the image leak through; a
    sampler that then starts from pure noise cannot make images darker or brighter than average.

    Source: Lin et al. 2024, algorithm 1 (arXiv:2305.08891).
    """
    alpha = (1 - betas).cumprod(0).sqrt()
    alpha = (alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
    left = torch.cat([torch.ones_like(alpha[:1]), alpha.square()])
    return 1 - left[1:] / left[:-1]
