"""DDPM keeps the deviation of Gaussian data, and its learned variance stays between the fixed."""

import pytest
import torch

from medgen.diffusion.ancestral import (
    learned_log_variance,
    posterior,
    sample_ddpm,
    sample_ddpm_learned,
)
from medgen.diffusion.betas import linear_betas
from medgen.diffusion.denoiser import Guess
from medgen.diffusion.noise import draw_noise, generators_for
from medgen.diffusion.process import PROCESSES, Cosine, VariancePreserving
from medgen.diffusion.sampler import last, sample_ddim
from medgen.diffusion.schedule import trailing_stops, uniform_stops

PROCESS = PROCESSES["latent-diffusion"]()


def sampled(gaussian, process, steps, *, count=40_000, **options):
    """Deviation of many numbers, drawn as one item."""
    generators = generators_for(0, [0])
    noise = draw_noise(generators, (1, count))
    denoise, stops = gaussian.denoiser(process), trailing_stops(steps)
    walk = sample_ddpm(denoise, process, noise, stops, generators=generators, **options)
    return float(last(walk).std())


@pytest.mark.parametrize("variance", ["small", "large"])
def test_many_steps_keep_the_deviation(gaussian, variance):
    assert sampled(gaussian, PROCESS, 200, variance=variance) == pytest.approx(0.5, rel=0.05)


def test_twice_the_steps_halve_the_error(gaussian):
    few, many = (0.5 - sampled(gaussian, Cosine(), steps, count=300_000) for steps in (25, 50))
    assert few / many == pytest.approx(2, rel=0.15)


def test_the_posterior_is_the_papers():
    betas = linear_betas()
    kept, left = 1 - betas, (1 - betas).cumprod(0)
    process, step = VariancePreserving(betas), 500  # from step 501 to step 500; arrays start at 1
    times = torch.tensor([(step + 1) / 1000, step / 1000], dtype=torch.float64)
    found = posterior(process.at(times[0]), process.at(times[1]))
    before, here = left[step - 1], left[step]
    expected = {
        "of_clean": before.sqrt() * betas[step] / (1 - here),
        "of_noisy": kept[step].sqrt() * (1 - before) / (1 - here),
        "smallest": betas[step] * (1 - before) / (1 - here),
        "largest": betas[step],
    }
    for name, value in expected.items():
        torch.testing.assert_close(getattr(found, name), value)


def test_learned_variance_stays_between_the_fixed_ones():
    step = posterior(PROCESS.at(torch.tensor([0.5])), PROCESS.at(torch.tensor([0.4])))
    fraction = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0]).reshape(1, 1, 5)
    variance = learned_log_variance(step, fraction).exp().flatten()
    small, large = step.smallest.item(), step.largest.item()
    expected = [small, small, (small * large) ** 0.5, large, large]
    assert variance.tolist() == pytest.approx(expected)
    assert small < large


@pytest.mark.parametrize(("variance", "fraction"), [("small", 0.0), ("large", 1.0)])
def test_fixed_variances_are_the_ends_of_the_learned_one(gaussian, variance, fraction):
    denoise, stops = gaussian.denoiser(PROCESS), uniform_stops(5)
    noise = draw_noise(generators_for(0, [0, 1]), (2, 3))
    fixed = sample_ddpm(
        denoise, PROCESS, noise, stops, variance=variance, generators=generators_for(1, [0, 1])
    )
    learned = sample_ddpm_learned(
        lambda noisy, time: Guess(denoise(noisy, time), torch.full_like(noisy, fraction)),
        PROCESS,
        noise,
        stops,
        generators=generators_for(1, [0, 1]),
    )
    assert torch.equal(last(fixed), last(learned))


def test_small_variance_is_ddim_with_eta_one(gaussian):
    denoise, stops = gaussian.denoiser(PROCESS), trailing_stops(20)
    noise = draw_noise(generators_for(0, [0, 1]), (2, 3)).double()
    ddpm = sample_ddpm(denoise, PROCESS, noise, stops, generators=generators_for(1, [0, 1]))
    ddim = sample_ddim(
        denoise, PROCESS, noise, stops, eta=1.0, generators=generators_for(1, [0, 1])
    )
    torch.testing.assert_close(last(ddpm), last(ddim))


@pytest.mark.parametrize("name", ["rectified-flow", "cosine", "latent-diffusion-zero-snr"])
def test_it_can_start_at_pure_noise(gaussian, name):
    process, generators = PROCESSES[name](), generators_for(0, [0])
    noise = draw_noise(generators, (1, 20_000))
    stops = uniform_stops(60)
    walk = sample_ddpm(gaussian.denoiser(process), process, noise, stops, generators=generators)
    assert float(last(walk).std()) == pytest.approx(0.5, rel=0.15)


def test_an_item_is_the_same_in_any_batch(gaussian):
    def run(indices):
        generators = generators_for(5, indices)
        noise = draw_noise(generators, (2, 7))
        denoise, stops = gaussian.denoiser(PROCESS), uniform_stops(4)
        return last(sample_ddpm(denoise, PROCESS, noise, stops, generators=generators))

    together = run([0, 1, 2, 3])
    assert torch.equal(together, torch.cat([run([i]) for i in range(4)]))


def test_without_generators_it_does_not_start(gaussian):
    with pytest.raises(ValueError, match="generators"):
        last(
            sample_ddpm(gaussian.denoiser(PROCESS), PROCESS, torch.ones(1, 1, 1), uniform_stops(2))
        )
