"""MONAI's pieces: their times are MONAI's own, their loss is nothing where nothing is wrong."""

import pytest
import torch
from monai.networks.schedulers.ddpm import DDPMScheduler

from benchmarks.tutorial import (
    SIDE,
    TIMESTEPS,
    Noised,
    Patches,
    TutorialCodec,
    TutorialFlow,
    encoded,
    flow_loss,
)


@pytest.fixture(scope="module")
def flow() -> TutorialFlow:
    torch.manual_seed(0)
    return TutorialFlow()


def test_noise_is_mixed_as_monai_mixes_it(flow: TutorialFlow) -> None:
    scheduler = DDPMScheduler(
        TIMESTEPS, schedule="scaled_linear_beta", beta_start=0.0015, beta_end=0.0195
    )
    clean, noise = torch.randn(2, 3, 1, 4, 4)
    timesteps = torch.tensor([0, 500, 999])
    wanted = scheduler.add_noise(clean, noise, timesteps)
    time = (timesteps + 1) / TIMESTEPS
    torch.testing.assert_close(flow.process.at(time).over(clean)(clean, noise), wanted)


def test_the_network_is_asked_with_monais_timestep(
    flow: TutorialFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(flow.network, "forward", lambda noisy, t: asked.append(t) or noisy)
    flow(torch.zeros(2, 1, 8, 8), torch.tensor(1.0))
    torch.testing.assert_close(asked[0], torch.full((2,), 999.0))


def test_who_knows_the_noise_has_no_loss(
    flow: TutorialFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = Noised([torch.zeros(1, 8, 8)], seed=0)(3)
    noise = item[1][None]
    monkeypatch.setattr(flow.network, "forward", lambda noisy, t: noise)
    assert float(flow_loss(flow, [item])["total"]) == 0


def test_the_codec_halves_the_grid_twice() -> None:
    torch.manual_seed(0)
    codec = TutorialCodec().eval()
    patch = Patches([torch.rand(1, 2 * SIDE, 2 * SIDE)], seed=0)(1)
    assert patch.shape == (1, SIDE, SIDE)
    assert encoded(codec, patch[None, :, :32, :32]).shape == (1, 1, 8, 8)
