"""On shared times, every sampler gives what diffusers gives."""

import pytest
import torch

from medgen.diffusion.ancestral import sample_ddpm, sample_ddpm_learned
from medgen.diffusion.betas import (
    cosine_betas,
    linear_betas,
    scaled_linear_betas,
    sigmoid_betas,
    with_zero_terminal_snr,
)
from medgen.diffusion.denoiser import Denoiser
from medgen.diffusion.noise import draw_noise, generators_for
from medgen.diffusion.prediction import Prediction
from medgen.diffusion.process import RectifiedFlow, VariancePreserving
from medgen.diffusion.sampler import (
    last,
    sample_ddim,
    sample_dpm_solver,
    sample_euler,
    sample_heun,
)
from medgen.diffusion.schedule import leading_stops, shifted, trailing_stops, uniform_stops

pytestmark = pytest.mark.filterwarnings("ignore")  # of diffusers' own imports
SCALED_LINEAR = {"beta_schedule": "scaled_linear", "beta_start": 8.5e-4, "beta_end": 1.2e-2}
PLAIN = {**SCALED_LINEAR, "clip_sample": False}
PREDICTIONS = {
    "epsilon": Prediction.NOISE,
    "sample": Prediction.CLEAN,
    "v_prediction": Prediction.VELOCITY,
}
TOLERANCE = {"atol": 1e-5, "rtol": 0}


@pytest.fixture(scope="module")
def diffusers():
    import diffusers

    return diffusers


def network(noisy, time):
    """Neither linear nor blind to time; near what noise is, so that rounding is not amplified."""
    clock = time.reshape(-1, *[1] * (noisy.ndim - 1))
    return 0.9 * noisy + 0.1 * torch.tanh(noisy + clock)


def theirs(scheduler, noise, time_of, **options):
    """What diffusers samples; `time_of` turns its timesteps into our times."""
    latent = noise
    for timestep in scheduler.timesteps:
        predicted = network(latent, time_of(timestep).reshape(1))
        latent = scheduler.step(predicted, timestep, latent, **options).prev_sample
    return latent


def discrete(timestep):
    return (timestep.double() + 1).float() / 1000


def noise(seed=0):
    return draw_noise(generators_for(seed, [0, 1]), (2, 4, 4))


def process(**options):
    return VariancePreserving(scaled_linear_betas(), **options)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("linear", linear_betas()),
        ("scaled_linear", scaled_linear_betas()),
        ("squaredcos_cap_v2", cosine_betas()),
        ("sigmoid", sigmoid_betas()),
    ],
)
@pytest.mark.parametrize("zero", [False, True])
def test_schedules(diffusers, name, ours, zero):
    options = SCALED_LINEAR if name == "scaled_linear" else {"beta_schedule": name}
    scheduler = diffusers.DDPMScheduler(**options, rescale_betas_zero_snr=zero)
    left = (1 - (with_zero_terminal_snr(ours) if zero else ours)).cumprod(0)
    torch.testing.assert_close(scheduler.alphas_cumprod, left.float(), **TOLERANCE)


@pytest.mark.parametrize("spacing", ["trailing", "leading"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("eta", [0.0, 0.6])
def test_ddim(diffusers, spacing, prediction, eta):
    scheduler = diffusers.DDIMScheduler(
        **PLAIN, prediction_type=prediction, timestep_spacing=spacing, steps_offset=0
    )
    scheduler.set_timesteps(20)
    stops = {"trailing": trailing_stops, "leading": leading_stops}[spacing](20)
    denoise = Denoiser(network, process(), PREDICTIONS[prediction])
    ours = sample_ddim(
        denoise, process(), noise(), stops, eta=eta, generators=generators_for(1, [0, 1])
    )
    expected = theirs(scheduler, noise(), discrete, eta=eta, generator=generators_for(1, [0, 1]))
    torch.testing.assert_close(last(ours), expected, **TOLERANCE)


def test_ddim_from_pure_noise(diffusers):
    scheduler = diffusers.DDIMScheduler(
        **PLAIN,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
    )
    scheduler.set_timesteps(10)
    silent = process(zero_terminal_snr=True)
    denoise = Denoiser(network, silent, Prediction.VELOCITY)
    ours = last(sample_ddim(denoise, silent, noise(), trailing_stops(10)))
    torch.testing.assert_close(ours, theirs(scheduler, noise(), discrete), **TOLERANCE)


@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_ddpm(diffusers, variance, prediction):
    scheduler = diffusers.DDPMScheduler(
        **PLAIN,
        prediction_type=prediction,
        variance_type=f"fixed_{variance}",
        timestep_spacing="leading",  # trailing, it draws noise in the last step too
    )
    scheduler.set_timesteps(25)
    denoise = Denoiser(network, process(), PREDICTIONS[prediction])
    ours = sample_ddpm(
        denoise,
        process(),
        noise(),
        leading_stops(25),
        variance=variance,
        generators=generators_for(1, [0, 1]),
    )
    expected = theirs(scheduler, noise(), discrete, generator=generators_for(1, [0, 1]))
    torch.testing.assert_close(last(ours), expected, **TOLERANCE)


def test_ddpm_with_learned_variance(diffusers):
    scheduler = diffusers.DDPMScheduler(
        **PLAIN, variance_type="learned_range", timestep_spacing="leading"
    )
    scheduler.set_timesteps(25)

    def two_answers(noisy, time):
        return torch.cat([network(noisy, time), torch.sin(3 * noisy)], dim=1)

    latent, generators = noise(), generators_for(1, [0, 1])
    for timestep in scheduler.timesteps:
        predicted = two_answers(latent, discrete(timestep).reshape(1))
        latent = scheduler.step(predicted, timestep, latent, generator=generators).prev_sample
    ours = sample_ddpm_learned(
        Denoiser(two_answers, process(), Prediction.NOISE).with_variance,
        process(),
        noise(),
        leading_stops(25),
        generators=generators_for(1, [0, 1]),
    )
    torch.testing.assert_close(last(ours), latent, **TOLERANCE)


@pytest.mark.parametrize("steps", [10, 25])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_dpm_solver(diffusers, steps, prediction):
    scheduler = diffusers.DPMSolverMultistepScheduler(
        **SCALED_LINEAR,
        prediction_type=prediction,
        timestep_spacing="trailing",
        final_sigmas_type="zero",
    )
    scheduler.set_timesteps(steps)
    denoise = Denoiser(network, process(), PREDICTIONS[prediction])
    ours = last(sample_dpm_solver(denoise, process(), noise(), trailing_stops(steps)))
    torch.testing.assert_close(ours, theirs(scheduler, noise(), discrete), **TOLERANCE)


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize(
    ("sample", "name"),
    [
        (sample_euler, "FlowMatchEulerDiscreteScheduler"),
        (sample_heun, "FlowMatchHeunDiscreteScheduler"),
    ],
)
def test_rectified_flow(diffusers, sample, name, shift):
    scheduler = getattr(diffusers, name)(shift=shift)
    if sample is sample_euler:
        scheduler.set_timesteps(sigmas=[1.0, 0.75, 0.5, 0.25])
        stops = shifted(uniform_stops(4), shift)
    else:
        scheduler.set_timesteps(4)
        stops = torch.cat([scheduler.sigmas[:1], scheduler.sigmas[1::2]]).double()
    denoise = Denoiser(
        lambda noisy, time: -network(noisy, time), RectifiedFlow(), Prediction.FLOW
    )  # diffusers' sign is the other
    ours = last(sample(denoise, RectifiedFlow(), noise().double(), stops))
    expected = theirs(scheduler, noise(), lambda timestep: timestep / 1000)
    torch.testing.assert_close(ours.float(), expected, **TOLERANCE)
