"""Samplers: walk a noisy latent back in time until it is clean.

Every sampler is called alike, `sample(denoise, process, noise, stops, generators=...)`, and yields
after each step; whoever listens may look, show progress or stop.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from medgen.diffusion.denoiser import Denoise
from medgen.diffusion.noise import Generators, draw_noise
from medgen.diffusion.prediction import to_noise
from medgen.diffusion.process import AbstractProcess, Mix
from medgen.diffusion.schedule import Stops
from medgen.shapes import Latent, Time

JUST_BEFORE_CLEAN = 0.01  # share of the last step at which a slope still exists


@dataclass(frozen=True)
class Step:
    """Where a sampler is after a step.

    Attributes:
        time: The time that was reached.
        latent: The latent at that time.
        clean: What the denoiser last held for the clean latent; a preview.
    """

    time: Time
    latent: Latent
    clean: Latent


@dataclass(frozen=True)
class Stretch:
    """One step of a sampler, before it is taken.

    Attributes:
        now: The time it starts at.
        after: The time it arrives at.
        here: The process now.
        there: The process after it.
        is_last: Whether it arrives at time 0.
    """

    now: Time
    after: Time
    here: Mix
    there: Mix
    is_last: bool


def last(steps: Iterable[Step]) -> Latent:
    """Walk to the end; the last latent, which is the sample."""
    return deque(steps, maxlen=1)[0].latent


def stretches(process: AbstractProcess, stops: Stops, latent: Latent) -> Iterator[Stretch]:
    """The steps between stops, in the latent's type and device.

    Raises:
        ValueError: If there are fewer than two stops, or they do not decrease within [0, 1].
    """
    if len(stops) < 2 or not (stops.diff() < 0).all() or stops[0] > 1 or stops[-1] < 0:
        raise ValueError("stops must be at least two times that decrease within [0, 1]")
    mixes = [process.at(time).over(latent) for time in stops.split(1)]
    times = stops.to(latent).split(1)
    for i, end in enumerate(stops[1:].tolist()):
        yield Stretch(times[i], times[i + 1], mixes[i], mixes[i + 1], is_last=end == 0)


def velocity(clean: Latent, noisy: Latent, mix: Mix) -> Latent:
    """How fast the latent moves, as time runs from clean to noise.

    Source: Lipman et al. 2023, theorem 3 for Gaussian paths (arXiv:2210.02747).
    """
    here = mix.over(noisy)
    rate = here.d_sigma / here.sigma
    return (here.d_alpha - rate * here.alpha) * clean + rate * noisy


@torch.no_grad()
def sample_euler(
    denoise: Denoise,
    process: AbstractProcess,
    noise: Latent,
    stops: Stops,
    *,
    generators: Generators | None = None,
) -> Iterator[Step]:
    """Yield every step of Euler's first-order method in time; best with rectified flow.

    Args:
        denoise: The denoiser, with context and guidance already inside.
        process: How clean and noise mix.
        noise: The latent at `stops[0]`: unit Gaussian noise where that is 1.
        stops: Decreasing times.
        generators: Not needed: nothing is drawn.
    """
    latent = noise
    for stretch in stretches(process, stops, noise):
        clean = denoise(latent, stretch.now)
        latent = latent + (stretch.after - stretch.now) * velocity(clean, latent, stretch.here)
        yield Step(stretch.after, latent, clean)


@torch.no_grad()
def sample_heun(
    denoise: Denoise,
    process: AbstractProcess,
    noise: Latent,
    stops: Stops,
    *,
    corrects_last: bool = False,
    generators: Generators | None = None,
) -> Iterator[Step]:
    """Yield every step of Heun's second-order method: two evaluations a step.

    Args:
        denoise: The denoiser, with context and guidance already inside.
        process: How clean and noise mix.
        noise: The latent at `stops[0]`: unit Gaussian noise where that is 1.
        stops: Decreasing times.
        corrects_last: Whether the step to time 0 has its second evaluation too, just before 0.
            Better for networks that predict flow, velocity or noise; wrong for those that predict
            the clean latent, whose error would be divided by next to no noise.
        generators: Not needed: nothing is drawn.

    Source: Karras et al. 2022, algorithm 1 (arXiv:2206.00364).
    """
    latent = noise
    for stretch in stretches(process, stops, noise):
        duration = stretch.after - stretch.now
        clean = denoise(latent, stretch.now)
        slope = velocity(clean, latent, stretch.here)
        arrived = latent + duration * slope
        if corrects_last or not stretch.is_last:
            after = stretch.now * JUST_BEFORE_CLEAN if stretch.is_last else stretch.after
            clean = denoise(arrived, after)
            slope = (slope + velocity(clean, arrived, process.at(after))) / 2
            arrived = latent + duration * slope
        latent = arrived
        yield Step(stretch.after, latent, clean)


@torch.no_grad()
def sample_ddim(
    denoise: Denoise,
    process: AbstractProcess,
    noise: Latent,
    stops: Stops,
    *,
    eta: float = 0.0,
    generators: Generators | None = None,
) -> Iterator[Step]:
    """Yield every step of DDIM, to the stop that is really next.

    Args:
        denoise: The denoiser, with context and guidance already inside.
        process: How clean and noise mix.
        noise: The latent at `stops[0]`: unit Gaussian noise where that is 1.
        stops: Decreasing times.
        eta: Fresh noise: 0 is deterministic, 1 is DDPM's smallest variance.
        generators: One an item; needed where `eta` is above 0.

    Raises:
        ValueError: If `eta` is above 0 and there are no generators.

    Source: Song et al. 2021, eq. 12 and 16 (arXiv:2010.02502).
    """
    if eta > 0 and generators is None:
        raise ValueError("DDIM with eta above 0 draws noise; give it generators")
    latent = noise
    for stretch in stretches(process, stops, noise):
        here, there = stretch.here, stretch.there
        clean = denoise(latent, stretch.now)
        fresh = eta * smallest_deviation(here, there)
        kept = (there.sigma.square() - fresh.square()).clamp(min=0).sqrt()
        latent = there.alpha * clean + kept * to_noise(here, latent, clean)
        if eta > 0 and generators is not None:
            drawn = draw_noise(generators, noise.shape[1:], noise.device)
            latent = latent + fresh * drawn.to(latent)
        yield Step(stretch.after, latent, clean)


def smallest_deviation(here: Mix, there: Mix) -> torch.Tensor:
    """Deviation of the latent there, given the latent here and the clean one.

    Source: Ho et al. 2020, eq. 7 (arXiv:2006.11239); Kingma et al. 2021, eq. 25, for any process
    (arXiv:2107.00630).
    """
    return there.sigma / here.sigma * added_variance(here, there).sqrt()


def added_variance(here: Mix, there: Mix) -> torch.Tensor:
    """Variance that the process adds from there to here; beta, where the two are neighbours."""
    kept = here.alpha / there.alpha * there.sigma
    return (here.sigma.square() - kept.square()).clamp(min=0)


@torch.no_grad()
def sample_dpm_solver(
    denoise: Denoise,
    process: AbstractProcess,
    noise: Latent,
    stops: Stops,
    *,
    generators: Generators | None = None,
) -> Iterator[Step]:
    """Yield every step of DPM-Solver++(2M): second order with one evaluation a step.

    The first step and the one to time 0 are of first order: the first has no past, and from noise
    to none the log of their ratio is infinitely far. So is the second, where the first began at
    noise alone.

    Args:
        denoise: The denoiser, with context and guidance already inside.
        process: How clean and noise mix.
        noise: The latent at `stops[0]`: unit Gaussian noise where that is 1.
        stops: Decreasing times; `karras_stops` suit best.
        generators: Not needed: nothing is drawn.

    Source: Lu et al. 2022, algorithm 2 (arXiv:2211.01095).
    """
    latent, past, past_length = noise, None, torch.inf
    for stretch in stretches(process, stops, noise):
        here, there = stretch.here, stretch.there
        clean = denoise(latent, stretch.now)
        length = float(_half_log_snr(there) - _half_log_snr(here))
        ahead = clean
        if past is not None and not stretch.is_last:
            ahead = clean + length / (2 * past_length) * (clean - past)
        shrink = there.sigma / here.sigma
        latent = shrink * latent + (there.alpha - here.alpha * shrink) * ahead
        past, past_length = clean, length
        yield Step(stretch.after, latent, clean)


def _half_log_snr(mix: Mix) -> torch.Tensor:
    return mix.alpha.double().log() - mix.sigma.double().log()
