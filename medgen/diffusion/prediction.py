"""What the number that a network predicts means: noise, clean, velocity or flow.

Each is a weighted sum of the clean latent and the noise, and so is the noisy latent; two such sums
say everything, so that clean = a * noisy + b * prediction with an `a` and a `b` of the mix alone.
"""

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from medgen.diffusion.process import Mix
from medgen.shapes import Latent


class Prediction(StrEnum):
    """What a network is trained to say."""

    NOISE = "noise"
    """The noise; Ho et al. 2020 (arXiv:2006.11239). Says nothing where alpha is 0."""
    CLEAN = "clean"
    """The clean latent."""
    VELOCITY = "velocity"
    """alpha * noise - sigma * clean; Salimans & Ho 2022 (arXiv:2202.00512)."""
    FLOW = "flow"
    """clean - noise, in MONAI's sign; Liu et al. 2022 (arXiv:2209.03003) has the other."""


@dataclass(frozen=True)
class _Line:
    """clean = of_noisy * noisy + of_prediction * prediction."""

    of_noisy: Tensor
    of_prediction: Tensor


def _line(prediction: Prediction, mix: Mix) -> _Line:
    alpha, sigma = mix.alpha, mix.sigma
    match prediction:
        case Prediction.NOISE:
            return _Line(1 / alpha, -sigma / alpha)
        case Prediction.CLEAN:
            return _Line(torch.zeros_like(alpha), torch.ones_like(alpha))
        case Prediction.VELOCITY:
            power = alpha.square() + sigma.square()
            return _Line(alpha / power, -sigma / power)
        case Prediction.FLOW:
            return _Line(1 / (alpha + sigma), sigma / (alpha + sigma))


def target(prediction: Prediction, mix: Mix, clean: Latent, noise: Latent) -> Latent:
    """What a perfect network would say of `mix(clean, noise)`."""
    match prediction:
        case Prediction.NOISE:
            return noise
        case Prediction.CLEAN:
            return clean
        case Prediction.VELOCITY:
            here = mix.over(clean)
            return here.alpha * noise - here.sigma * clean
        case Prediction.FLOW:
            return clean - noise


def to_clean(prediction: Prediction, mix: Mix, noisy: Latent, predicted: Latent) -> Latent:
    """The clean latent that a prediction implies."""
    line = _line(prediction, mix.over(noisy))
    return line.of_noisy * noisy + line.of_prediction * predicted


def from_clean(prediction: Prediction, mix: Mix, noisy: Latent, clean: Latent) -> Latent:
    """The prediction that implies a clean latent: the inverse of `to_clean`.

    At time 0 only `CLEAN` is defined: a latent without noise does not say which noise it lacks.
    """
    line = _line(prediction, mix.over(noisy))
    return (clean - line.of_noisy * noisy) / line.of_prediction


def to_noise(mix: Mix, noisy: Latent, clean: Latent) -> Latent:
    """The noise that must be in `noisy` if `clean` is; undefined at time 0."""
    here = mix.over(noisy)
    return (noisy - here.alpha * clean) / here.sigma
