"""A network, a process and the meaning of its prediction make a denoiser."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medgen.diffusion.prediction import Prediction, to_clean
from medgen.diffusion.process import AbstractProcess
from medgen.shapes import Latent, Time

Network = Callable[[Latent, Time], Tensor]
"""Noisy latent and time in, prediction out. Context and label are already inside."""

Denoise = Callable[[Latent, Time], Latent]
"""Noisy latent and time in, clean latent out. Context and guidance are already inside."""


@dataclass(frozen=True)
class Guess:
    """What a network that learns its variance says.

    Attributes:
        clean: The clean latent.
        fraction: Where between the smallest (0) and the largest (1) log-variance of the next step.
    """

    clean: Latent
    fraction: Latent


DenoiseWithVariance = Callable[[Latent, Time], Guess]
"""Noisy latent and time in; the clean latent and how sure it is of the next step out."""


@dataclass(frozen=True)
class Denoiser:
    """`denoise(noisy, time) -> clean` from a network's predictions.

    Attributes:
        network: Its context and label are already inside (`functools.partial`).
        process: How clean and noise mix.
        prediction: What the network's number means.

    Raises:
        ValueError: If the network predicts noise and the process ends without signal: what is left
            when noise is taken from noise says nothing. Predict velocity, flow or clean.
    """

    network: Network
    process: AbstractProcess
    prediction: Prediction

    def __post_init__(self) -> None:
        ends_without_signal = float(self.process.at(torch.ones(1)).alpha) < 1e-6
        if self.prediction is Prediction.NOISE and ends_without_signal:
            raise ValueError("a process that ends in pure noise cannot be sampled by its noise")

    def __call__(self, noisy: Latent, time: Time) -> Latent:
        """The clean latent that the network sees in `noisy`."""
        predicted = self.network(noisy, time)
        return to_clean(self.prediction, self.process.at(time), noisy, predicted)

    def with_variance(self, noisy: Latent, time: Time) -> Guess:
        """The same of a network with twice the channels; the second half spans [-1, 1].

        Source: Nichol & Dhariwal 2021, section 3.1 (arXiv:2102.09672).
        """
        predicted, spread = self.network(noisy, time).chunk(2, dim=1)
        clean = to_clean(self.prediction, self.process.at(time), noisy, predicted)
        return Guess(clean, (spread + 1) / 2)
