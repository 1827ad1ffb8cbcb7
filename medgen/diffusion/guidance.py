"""Guidance: push a prediction towards its condition."""

from dataclasses import dataclass

import torch

from medgen.diffusion.denoiser import Denoise
from medgen.shapes import Latent, Time


@dataclass(frozen=True)
class Guidance:
    """How hard to push.

    Attributes:
        scale: 0 ignores the condition, 1 is plain conditioning, above 1 exaggerates it.
        rescale: Share in [0, 1] by which the guided latent gets the conditional one's standard
            deviation back; 0.7 against the over-exposure of large scales.
        interval: Earliest and latest time at which to push; plain conditioning elsewhere.
    """

    scale: float = 1.0
    rescale: float = 0.0
    interval: tuple[float, float] = (0.0, 1.0)


def guide(unconditional: Latent, conditional: Latent, guidance_scale: float) -> Latent:
    """Extrapolate from the unconditional to the conditional prediction.

    Args:
        unconditional: Clean latent predicted without the condition.
        conditional: Clean latent predicted with it.
        guidance_scale: 0 ignores the condition, 1 is plain conditioning, above 1 exaggerates it.

    Returns:
        The guided clean latent.

    Source: Ho & Salimans 2022, eq. 6 with w = guidance_scale - 1 (arXiv:2207.12598).
    """
    return unconditional.lerp(conditional, guidance_scale)


def rescaled(guided: Latent, conditional: Latent, share: float) -> Latent:
    """Give a guided latent back, by `share`, the standard deviation of the conditional one.

    Source: Lin et al. 2024, eq. 15 and 16 (arXiv:2305.08891).
    """
    axes = tuple(range(1, guided.ndim))
    wanted, present = conditional.std(axes, keepdim=True), guided.std(axes, keepdim=True)
    # A constant item has no deviation to rescale.
    ratio = torch.where(present > 0, wanted / present, 1.0)
    return guided.lerp(guided * ratio, share)


def guided(conditional: Denoise, empty: Denoise, guidance: Guidance) -> Denoise:
    """One denoiser out of two: the condition's, and that of the encoded empty condition.

    A denoiser that does not matter for the result is not run. The interval counts for a batch as a
    whole: all of its times must lie inside.

    Source: the interval is Kynkäänniemi et al. 2024 (arXiv:2404.07724).
    """

    def denoise(noisy: Latent, time: Time) -> Latent:
        early, late = guidance.interval
        is_inside = bool(((time >= early) & (time <= late)).all())
        if guidance.scale == 1 or not is_inside:
            return conditional(noisy, time)
        if guidance.scale == 0 and not guidance.rescale:
            return empty(noisy, time)
        wanted = conditional(noisy, time)
        pushed = guide(empty(noisy, time), wanted, guidance.scale)
        return rescaled(pushed, wanted, guidance.rescale) if guidance.rescale else pushed

    return denoise
