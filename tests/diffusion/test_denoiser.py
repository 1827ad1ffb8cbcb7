"""A denoiser's answer does not depend on what its network was trained to say."""

import pytest
import torch

from medgen.diffusion.denoiser import Denoiser
from medgen.diffusion.prediction import Prediction, from_clean
from medgen.diffusion.process import PROCESSES, RectifiedFlow


def speaking(prediction, process, clean):
    """A network that knows the clean latent and says it in its own way."""
    return lambda noisy, time: from_clean(prediction, process.at(time), noisy, clean)


@pytest.mark.parametrize("prediction", Prediction)
def test_every_prediction_denoises_alike(prediction):
    process, clean = PROCESSES["latent-diffusion"](), torch.randn(2, 3, 4, 4)
    denoise = Denoiser(speaking(prediction, process, clean), process, prediction)
    found = denoise(torch.randn_like(clean), torch.tensor([0.3, 0.8]))
    torch.testing.assert_close(found, clean, atol=1e-5, rtol=1e-5)


def test_the_second_half_of_the_channels_is_the_variance():
    denoise = Denoiser(
        lambda noisy, time: torch.cat([noisy, torch.full_like(noisy, -1.0)], dim=1),
        RectifiedFlow(),
        Prediction.CLEAN,
    )
    noisy = torch.randn(1, 2, 4)
    guess = denoise.with_variance(noisy, torch.tensor([0.5]))
    assert torch.equal(guess.clean, noisy)
    assert not guess.fraction.any()


@pytest.mark.parametrize("name", ["rectified-flow", "cosine", "latent-diffusion-zero-snr"])
def test_noise_cannot_be_predicted_where_nothing_else_is(name):
    with pytest.raises(ValueError, match="pure noise"):
        Denoiser(lambda noisy, time: noisy, PROCESSES[name](), Prediction.NOISE)
