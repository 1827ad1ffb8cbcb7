"""Gaussian data, whose exact denoiser and exact samples are known on paper."""

from dataclasses import dataclass

import pytest
import torch


@dataclass(frozen=True)
class Gaussian:
    """Data of mean 0 and this deviation."""

    deviation: float = 0.5

    def denoiser(self, process):
        """The best possible denoiser."""

        def denoise(noisy, time):
            mix = process.at(time).over(noisy)
            signal = mix.alpha**2 * self.deviation**2
            return noisy * mix.alpha * self.deviation**2 / (signal + mix.sigma**2)

        return denoise

    def at(self, process, time):
        """The deviation of noisy latents; the exact flow scales each by the ratio of two."""
        mix = process.at(torch.tensor(float(time), dtype=torch.float64))
        return float((mix.alpha**2 * self.deviation**2 + mix.sigma**2).sqrt())


@pytest.fixture(scope="session")
def gaussian():
    return Gaussian()
