"""How a clean latent and noise mix at a time between 0 (clean) and 1 (noise).

noisy = alpha(time) * clean + sigma(time) * noise
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from medgen.diffusion.betas import (
    Betas,
    cosine_betas,
    linear_betas,
    scaled_linear_betas,
    sigmoid_betas,
    with_zero_terminal_snr,
)
from medgen.shapes import Latent


@dataclass(frozen=True)
class Mix:
    """A process at one time, or at one time for each item.

    Attributes:
        alpha: Weight of the clean latent.
        sigma: Weight of the noise.
        d_alpha: Derivative of `alpha` in time.
        d_sigma: Derivative of `sigma` in time; infinite at time 0 of a variance-preserving process
            that was made for discrete steps.
    """

    alpha: Tensor
    sigma: Tensor
    d_alpha: Tensor
    d_sigma: Tensor

    def over(self, latent: Latent) -> "Mix":
        """The same, with the axes, the type and the device that multiply a latent."""
        own = self.alpha
        if (own.ndim, own.dtype, own.device) == (latent.ndim, latent.dtype, latent.device):
            return self
        shares = self.alpha, self.sigma, self.d_alpha, self.d_sigma
        return Mix(*(one.to(latent).reshape(-1, *[1] * (latent.ndim - 1)) for one in shares))

    def __call__(self, clean: Latent, noise: Latent) -> Latent:
        """The noisy latent."""
        here = self.over(clean)
        return here.alpha * clean + here.sigma * noise


class AbstractProcess(ABC):
    """What every noising process can say."""

    @abstractmethod
    def at(self, time: Float[Tensor, "*times"]) -> Mix:
        """The mix at `time`; shapes and type follow `time`."""


class RectifiedFlow(AbstractProcess):
    """A straight line from clean to noise.

    Source: Liu et al. 2022 (arXiv:2209.03003).

    Example:
        >>> float(RectifiedFlow().at(torch.tensor(0.25)).alpha)
        0.75
    """

    def at(self, time: Float[Tensor, "*times"]) -> Mix:
        """The mix at `time`."""
        one = torch.ones_like(time)
        return Mix(1 - time, time, -one, one)


class Cosine(AbstractProcess):
    """A quarter circle, so that alpha² + sigma² = 1.

    Source: Salimans & Ho 2022, section 2.1 (arXiv:2202.00512).

    Example:
        >>> mix = Cosine().at(torch.tensor(0.3))
        >>> round(float(mix.alpha**2 + mix.sigma**2), 6)
        1.0
    """

    def at(self, time: Float[Tensor, "*times"]) -> Mix:
        """The mix at `time`."""
        turn = math.pi / 2
        left = turn * (1 - time)  # sin(left) is exactly 0 at time 1; cos(turn) is not
        alpha, sigma = left.sin(), (turn * time).sin()
        return Mix(alpha, sigma, -turn * left.cos(), turn * (turn * time).cos())


class VariancePreserving(AbstractProcess):
    """A discrete schedule of T steps, made continuous; alpha² + sigma² = 1.

    Time k/T is what the papers call step k (diffusers' and MONAI's timestep k - 1); time 0 is the
    clean latent itself. Between the steps alpha runs straight.

    Source: Ho et al. 2020, eq. 4 (arXiv:2006.11239).

    Example:
        >>> process = VariancePreserving(linear_betas())
        >>> round(float(process.at(torch.tensor(1.0)).alpha ** 2), 7)
        4.04e-05
    """

    def __init__(self, betas: Betas, *, zero_terminal_snr: bool = False) -> None:
        """Make betas continuous.

        Args:
            betas: As `medgen.diffusion.betas` makes them.
            zero_terminal_snr: Whether to rescale them so that time 1 is pure noise.
        """
        betas = with_zero_terminal_snr(betas) if zero_terminal_snr else betas
        left = (1 - betas.double()).cumprod(0)
        self._alphas = torch.cat([torch.ones_like(left[:1]), left]).sqrt()  # at times k/T

    def at(self, time: Float[Tensor, "*times"]) -> Mix:
        """The mix at `time`."""
        steps = len(self._alphas) - 1
        position = time.double() * steps
        before = position.detach().floor().clamp(0, steps - 1).long()
        alphas = self._alphas.to(time.device)
        rise = alphas[before + 1] - alphas[before]
        alpha = alphas[before] + (position - before) * rise
        sigma = ((1 - alpha) * (1 + alpha)).sqrt()
        d_alpha = rise * steps
        d_sigma = -alpha * d_alpha / sigma
        return Mix(*(value.to(time.dtype) for value in (alpha, sigma, d_alpha, d_sigma)))


PROCESSES: dict[str, Callable[[], AbstractProcess]] = {
    "rectified-flow": RectifiedFlow,
    "cosine": Cosine,
    "ddpm": lambda: VariancePreserving(linear_betas()),
    "improved-ddpm": lambda: VariancePreserving(cosine_betas()),
    "sigmoid": lambda: VariancePreserving(sigmoid_betas()),
    "latent-diffusion": lambda: VariancePreserving(scaled_linear_betas()),
    "latent-diffusion-zero-snr": lambda: VariancePreserving(
        scaled_linear_betas(), zero_terminal_snr=True
    ),
    "maisi-mask": lambda: VariancePreserving(scaled_linear_betas(1.5e-3, 1.95e-2)),
}
"""Every process, with the schedules of the papers, by name."""
