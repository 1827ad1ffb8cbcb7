"""With the exact denoiser of a Gaussian, every sampler nears the exact sample at its order."""

import itertools

import pytest
import torch

from medgen.diffusion.noise import draw_noise, generators_for, noise_for
from medgen.diffusion.process import PROCESSES, Cosine, RectifiedFlow
from medgen.diffusion.sampler import (
    last,
    sample_ddim,
    sample_dpm_solver,
    sample_euler,
    sample_heun,
)
from medgen.diffusion.schedule import karras_stops, trailing_stops, uniform_stops

FIRST_ORDER, SECOND_ORDER = (sample_euler, sample_ddim), (sample_heun, sample_dpm_solver)
EVERY = pytest.mark.parametrize("sample", FIRST_ORDER + SECOND_ORDER)
PROCESS = pytest.mark.parametrize("process", [RectifiedFlow(), Cosine()])


def one():
    """One deviation of noise; deterministic samplers scale it as they scale all noise."""
    return torch.ones(1, 1, 1, dtype=torch.float64)


def error(gaussian, sample, process, stops):
    """Of the deviation at the last stop, relative, with its sign."""
    start, end = gaussian.at(process, stops[0]), gaussian.at(process, stops[-1])
    arrived = last(sample(gaussian.denoiser(process), process, start * one(), stops))
    return arrived.item() / end - 1


@PROCESS
@pytest.mark.parametrize(
    ("sample", "order"), [*((s, 1) for s in FIRST_ORDER), *((s, 2) for s in SECOND_ORDER)]
)
def test_twice_the_steps_divide_the_error_by_the_order(gaussian, process, sample, order):
    grids = [torch.linspace(0.95, 0.05, steps + 1, dtype=torch.float64) for steps in (25, 50, 100)]
    errors = [error(gaussian, sample, process, stops) for stops in grids]
    for few, many in itertools.pairwise(errors):
        assert few / many == pytest.approx(2**order, rel=0.15)


@pytest.mark.parametrize(
    ("sample", "process", "tolerance"),
    [
        (sample_euler, "rectified-flow", 0.08),
        (sample_heun, "rectified-flow", 0.005),
        (sample_ddim, "latent-diffusion", 0.14),
        (sample_dpm_solver, "rectified-flow", 0.012),
    ],
)
def test_twenty_steps_from_noise_to_clean(gaussian, sample, process, tolerance):
    assert abs(error(gaussian, sample, PROCESSES[process](), uniform_stops(20))) < tolerance


def test_heun_on_rectified_flow_needs_ten_steps(gaussian):
    process, stops = RectifiedFlow(), uniform_stops(10)

    def corrected(*args):
        return sample_heun(*args, corrects_last=True)

    assert abs(error(gaussian, corrected, process, stops)) < 0.01
    assert abs(error(gaussian, sample_heun, process, stops)) < 0.02
    assert error(gaussian, sample_euler, process, stops) == pytest.approx(-0.14, abs=0.005)


def test_karras_spacing_helps_few_steps(gaussian):
    process = PROCESSES["latent-diffusion"]()
    few = abs(error(gaussian, sample_dpm_solver, process, karras_stops(process, 20, cleanest=0.03)))
    assert few < 0.02
    assert few < abs(error(gaussian, sample_dpm_solver, process, trailing_stops(20))) / 4


@EVERY
def test_an_image_that_is_known_is_found_in_one_step(sample):
    clean, noise = torch.randn(2, 3, 4), noise_for(0, [0, 1], (3, 4))
    found = last(sample(lambda noisy, time: clean, RectifiedFlow(), noise, uniform_stops(1)))
    torch.testing.assert_close(found, clean, atol=1e-6, rtol=0)


def test_ddim_is_euler_on_a_straight_line(gaussian):
    process, noise = RectifiedFlow(), noise_for(0, [0], (2, 8))
    calls = (gaussian.denoiser(process), process, noise, uniform_stops(7))
    torch.testing.assert_close(last(sample_ddim(*calls)), last(sample_euler(*calls)))


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_keeps_the_deviation_whatever_its_noise(gaussian, eta):
    process, generators = PROCESSES["latent-diffusion"](), generators_for(0, [0])
    noise = draw_noise(generators, (1, 20_000))
    steps = sample_ddim(
        gaussian.denoiser(process),
        process,
        noise,
        trailing_stops(60),
        eta=eta,
        generators=generators,
    )
    assert float(last(steps).std()) == pytest.approx(0.5, rel=0.12)


def test_ddim_asks_for_generators_before_it_draws(gaussian):
    process = Cosine()
    with pytest.raises(ValueError, match="generators"):
        last(sample_ddim(gaussian.denoiser(process), process, one(), uniform_stops(2), eta=1.0))


@EVERY
def test_a_batch_is_its_items(gaussian, sample):
    process = Cosine()
    denoise, stops = gaussian.denoiser(process), uniform_stops(5)
    together = last(sample(denoise, process, noise_for(3, range(3), (2, 4)), stops))
    alone = [last(sample(denoise, process, noise_for(3, [i], (2, 4)), stops)) for i in range(3)]
    assert torch.equal(together, torch.cat(alone))


@EVERY
def test_every_step_is_yielded(gaussian, sample):
    process, stops = RectifiedFlow(), uniform_stops(4)
    steps = list(sample(gaussian.denoiser(process), process, one(), stops))
    assert [float(step.time) for step in steps] == stops[1:].tolist()
    assert all(step.clean.shape == step.latent.shape for step in steps)


@EVERY
def test_the_latent_keeps_its_type_and_the_denoiser_gets_it(sample):
    seen = []

    def denoise(noisy, time):
        seen.append((noisy.dtype, time.dtype))
        return noisy

    latent = last(sample(denoise, RectifiedFlow(), torch.ones(1, 1, 2), uniform_stops(3)))
    assert latent.dtype == torch.float32
    assert set(seen) == {(torch.float32, torch.float32)}


@pytest.mark.parametrize("stops", [[1.0], [0.0, 1.0], [1.0, 0.5, 0.5], [1.5, 0.0], [1.0, -0.1]])
def test_impossible_stops_are_refused(gaussian, stops):
    stops = torch.tensor(stops, dtype=torch.float64)
    process = RectifiedFlow()
    with pytest.raises(ValueError, match="decrease"):
        last(sample_euler(gaussian.denoiser(process), process, one(), stops))
