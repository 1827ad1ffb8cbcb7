"""Whatever a network predicts, it says the same."""

import pytest
import torch

from medgen.diffusion.prediction import (
    Prediction,
    from_clean,
    target,
    to_clean,
    to_noise,
)
from medgen.diffusion.process import PROCESSES

EVERY = pytest.mark.parametrize("prediction", Prediction)
PROCESS = pytest.mark.parametrize("process", [make() for make in PROCESSES.values()], ids=PROCESSES)
TIMES = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)


def mixed(process, times):
    """The same clean latent and noise at each of the times."""
    generator = torch.Generator().manual_seed(3)
    clean, noise = torch.randn(2, 2, 1, 8, generator=generator, dtype=torch.float64)
    clean, noise = (one.expand(len(times), *one.shape) for one in (clean, noise))
    mix = process.at(times)
    return mix, clean, noise, mix(clean, noise)


@PROCESS
@EVERY
def test_the_target_implies_the_clean_latent_and_the_noise(prediction, process):
    mix, clean, noise, noisy = mixed(process, TIMES)
    implied = to_clean(prediction, mix, noisy, target(prediction, mix, clean, noise))
    torch.testing.assert_close(implied, clean, atol=1e-6, rtol=0)
    torch.testing.assert_close(to_noise(mix, noisy, implied), noise, atol=1e-6, rtol=0)


@PROCESS
@EVERY
def test_from_clean_inverts_to_clean(prediction, process):
    mix, predicted, _, noisy = mixed(process, TIMES)
    there = to_clean(prediction, mix, noisy, predicted)
    back = from_clean(prediction, mix, noisy, there)
    torch.testing.assert_close(back, predicted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("prediction", [Prediction.VELOCITY, Prediction.FLOW])
@pytest.mark.parametrize("time", [0.0, 1.0])
def test_velocity_and_flow_are_defined_at_both_ends(prediction, time):
    mix, clean, noise, noisy = mixed(
        PROCESSES["rectified-flow"](), torch.tensor([time], dtype=torch.float64)
    )
    implied = to_clean(prediction, mix, noisy, target(prediction, mix, clean, noise))
    torch.testing.assert_close(implied, clean)
