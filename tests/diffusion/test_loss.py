"""A perfect network has no loss, and a wrong one has the loss computed by hand."""

import pytest
import torch

from medgen.diffusion.ancestral import learned_log_variance, posterior
from medgen.diffusion.denoiser import Guess
from medgen.diffusion.loss import Objective, logit_normal_times, uniform_times, variance_loss
from medgen.diffusion.prediction import Prediction, min_snr_weight, target
from medgen.diffusion.process import PROCESSES, RectifiedFlow

TIME = torch.tensor([0.3, 0.8])


def seeded():
    return torch.Generator().manual_seed(0)


def latents():
    return torch.randn(2, 2, 3, 4, 4, generator=seeded())


@pytest.mark.parametrize("prediction", Prediction)
@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_a_wrong_network_pays_for_its_error(prediction, norm):
    process, (clean, noise) = PROCESSES["latent-diffusion"](), latents()
    right = target(prediction, process.at(TIME), clean, noise)
    wrong = torch.tensor([0.0, 0.5]).reshape(2, 1, 1, 1)
    objective = Objective(process, prediction, norm=norm)
    losses = objective(lambda noisy, time: right + wrong, clean, noise, TIME)
    assert losses.tolist() == pytest.approx([0, 0.5 if norm == "l1" else 0.25], abs=1e-6)


def test_the_network_sees_the_noisy_latent():
    process, (clean, noise) = RectifiedFlow(), latents()
    seen = []

    def network(noisy, time):
        seen.append((noisy, time))
        return noisy

    Objective(process, Prediction.CLEAN)(network, clean, noise, TIME)
    weights = TIME.reshape(2, 1, 1, 1)
    torch.testing.assert_close(seen[0][0], (1 - weights) * clean + weights * noise)
    assert torch.equal(seen[0][1], TIME)


def test_min_snr_weighs_each_item():
    process, (clean, noise) = PROCESSES["latent-diffusion"](), latents()
    plain = Objective(process, Prediction.VELOCITY)
    weighed = Objective(process, Prediction.VELOCITY, snr_limit=5.0)
    weights = min_snr_weight(Prediction.VELOCITY, process.at(TIME))

    def network(noisy, time):
        return torch.zeros_like(noisy)

    torch.testing.assert_close(
        weighed(network, clean, noise, TIME), weights * plain(network, clean, noise, TIME)
    )


def test_uniform_times_fill_every_part_once():
    times = uniform_times(64, seeded())
    assert float(times.min()) >= 1e-3
    assert float(times.max()) <= 1
    parts = ((1 - times) / (1 - 1e-3) * 64).floor().sort().values
    assert torch.equal(parts, torch.arange(64.0))
    assert not torch.equal(times, times.sort(descending=True).values)


def test_logit_normal_times_have_the_stated_logits():
    times = logit_normal_times(20_000, seeded(), mean=-1.0, deviation=0.7)
    logits = times.logit()
    assert float(logits.mean()) == pytest.approx(-1, abs=0.02)
    assert float(logits.std()) == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize("draw", [uniform_times, logit_normal_times])
def test_times_belong_to_their_generator(draw):
    assert torch.equal(draw(8, seeded()), draw(8, seeded()))


def divergence(clean, said_clean, fraction, time):
    process = PROCESSES["latent-diffusion"]()
    noisy = process.at(time)(clean, torch.ones_like(clean))
    return variance_loss(process, clean, noisy, time, Guess(said_clean, fraction))


def test_variance_loss_is_the_divergence_of_two_gaussians():
    time, fraction = torch.tensor([0.5]), torch.full((1, 1, 3), 0.4)
    clean, said = torch.zeros(1, 1, 3), torch.full((1, 1, 3), 0.2)
    process = PROCESSES["latent-diffusion"]()
    step = posterior(process.at(time), process.at(time - 1e-3))
    ours = torch.distributions.Normal(
        step.of_clean * said, (learned_log_variance(step, fraction) / 2).exp()
    )
    true = torch.distributions.Normal(step.of_clean * clean, step.smallest.sqrt())
    expected = torch.distributions.kl_divergence(true, ours).mean()
    torch.testing.assert_close(divergence(clean, said, fraction, time)[0], expected)


def test_variance_loss_is_nothing_where_nothing_is_wrong_or_drawn():
    clean = torch.randn(2, 1, 3)
    times = torch.tensor([0.5, 0.001])
    losses = divergence(clean, clean, torch.zeros(2, 1, 3), times)
    torch.testing.assert_close(losses, torch.zeros(2), atol=1e-6, rtol=0)
    assert float(divergence(clean, clean + 1, torch.ones(2, 1, 3), times)[1]) == 0


def test_variance_loss_teaches_the_variance_only():
    clean = torch.randn(1, 1, 3)
    said, fraction = torch.randn(1, 1, 3).requires_grad_(), torch.full((1, 1, 3), 0.5)
    fraction.requires_grad_()
    divergence(clean, said, fraction, torch.tensor([0.5])).sum().backward()
    assert said.grad is None
    assert fraction.grad.any()
