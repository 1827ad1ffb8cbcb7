"""Which times a sampler stops at: decreasing, from noise (1) to clean (0)."""

import torch
from jaxtyping import Float
from torch import Tensor

from medgen.diffusion.process import AbstractProcess

Stops = Float[Tensor, "stops"]
"""Decreasing times in [0, 1], one more than there are steps; float64."""


def uniform_stops(steps: int) -> Stops:
    """Evenly spaced times.

    Example:
        >>> uniform_stops(4).tolist()
        [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


def trailing_stops(steps: int, *, timesteps: int = 1000) -> Stops:
    """Discrete steps counted down from the last one: always starts at pure noise.

    Source: Lin et al. 2024, section 3.3 (arXiv:2305.08891).

    Example:
        >>> trailing_stops(3, timesteps=10).tolist()
        [1.0, 0.7, 0.3, 0.0]
    """
    _check_steps(steps, timesteps)
    places = torch.arange(steps, 0, -1, dtype=torch.float64) * timesteps / steps
    return _ending_clean(places.round() / timesteps)


def leading_stops(steps: int, *, timesteps: int = 1000, offset: int = 0) -> Stops:
    """Discrete steps counted up from the first one: DDIM's; does not reach pure noise.

    Args:
        steps: How many.
        timesteps: How many the process was trained with.
        offset: Added to every step; latent diffusion has 1.

    Source: Song et al. 2021, appendix D.2 (arXiv:2010.02502).
    """
    _check_steps(steps, timesteps)
    places = torch.arange(steps - 1, -1, -1, dtype=torch.float64) * (timesteps // steps)
    return _ending_clean((places + 1 + offset) / timesteps)


def karras_stops(
    process: AbstractProcess,
    steps: int,
    *,
    noisiest: float = 80.0,
    cleanest: float = 0.002,
    bend: float = 7.0,
) -> Stops:
    """Times at which (sigma / alpha) to the power of 1 / `bend` is evenly spaced, then 0.

    Args:
        process: How clean and noise mix.
        steps: How many, the last one to 0 included.
        noisiest: First ratio of sigma to alpha, or the process's own where that is smaller.
        cleanest: Last ratio before 0.
        bend: The paper's rho; the larger, the more stops where there is little noise.

    Source: Karras et al. 2022, eq. 5 (arXiv:2206.00364).
    """
    noisiest = min(noisiest, _noise_ratio(process, 1.0))
    share = torch.linspace(0, 1, steps, dtype=torch.float64)
    start, end = noisiest ** (1 / bend), cleanest ** (1 / bend)
    ratios = (start + share * (end - start)) ** bend
    return _ending_clean(torch.tensor([time_of(process, ratio) for ratio in ratios.tolist()]))


def shifted(stops: Float[Tensor, "times"], ratio: float) -> Float[Tensor, "times"]:
    """Times moved towards noise, as larger latents need; 0 and 1 stay.

    Source: Esser et al. 2024, eq. 23 (arXiv:2403.03206).

    Example:
        >>> shifted(torch.tensor([1.0, 0.5, 0.0]), 3.0).tolist()
        [1.0, 0.75, 0.0]
    """
    return ratio * stops / (ratio * stops + (1 - stops))


def finishing(stops: Stops, time: float) -> Float[Tensor, "finished"]:
    """One more stop before clean, at `time`, or half way to it where stops are finer already.

    The step to time 0 is of first order in every solver, and ends at what the denoiser expects: a
    mean, which is smooth. The nearer it starts, the more detail it has.

    Args:
        stops: That end at 0.
        time: Above 0; 0 adds none.

    Example:
        >>> finishing(uniform_stops(2), 0.125).tolist()
        [1.0, 0.5, 0.125, 0.0]
        >>> finishing(uniform_stops(2), 0.75).tolist()
        [1.0, 0.5, 0.25, 0.0]
    """
    if not time:
        return stops
    near = stops.new_tensor([min(time, float(stops[-2]) / 2)])
    return torch.cat([stops[:-1], near, stops[-1:]])


def time_of(process: AbstractProcess, ratio: float) -> float:
    """The time at which sigma / alpha is `ratio`, found by halving; 1 if it never gets there."""
    early, late = 0.0, 1.0
    for _ in range(60):
        middle = (early + late) / 2
        if _noise_ratio(process, middle) < ratio:
            early = middle
        else:
            late = middle
    return late


def _noise_ratio(process: AbstractProcess, time: float) -> float:
    mix = process.at(torch.tensor(time, dtype=torch.float64))
    return float(mix.sigma / mix.alpha)


def _ending_clean(times: Tensor) -> Stops:
    return torch.cat([times.double(), torch.zeros(1, dtype=torch.float64)])


def _check_steps(steps: int, timesteps: int) -> None:
    if not 1 <= steps <= timesteps:
        raise ValueError(f"{steps} steps; a schedule of {timesteps} has 1 to {timesteps}")
