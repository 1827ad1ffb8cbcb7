"""Halved again, a refined image is the image that it was made of."""

import pytest
import torch

from medgen.diffusion.noise import draw_noise, generators_for
from medgen.diffusion.sampler import sample_dpm_solver
from medgen.diffusion.schedule import uniform_stops
from medgen.instruct.refiner import Refiner, RefinerConfig, contained, halved

SPACES = [(8, 12), (4, 6, 8)]


def refiner_of(axes: int, detail: float = 0.5) -> Refiner:
    """One that has learned nothing: its details are loud and wrong."""
    torch.manual_seed(0)
    return Refiner(RefinerConfig(axes, embedding=4, widths=(8, 8), detail=detail)).eval()


@pytest.mark.parametrize("space", SPACES)
@torch.no_grad()
def test_after_every_step_it_halves_to_what_was_given(space: tuple[int, ...]) -> None:
    refiner = refiner_of(len(space))
    low = 2 * torch.rand(2, 1, *space) - 1
    given = low + 0.1 * torch.randn_like(low)
    denoise = refiner.denoise(low, given, torch.full((2,), 0.1), torch.zeros(2, 4))
    noise = draw_noise(generators_for(0, range(2)), (2 ** len(space) - 1, *space))
    for step in sample_dpm_solver(denoise, refiner.process, noise, uniform_stops(4)):
        image = refiner.image(low, step.clean)
        assert image.abs().max() <= 1 + 1e-6
        assert (halved(image) - low).abs().max() <= 2e-3 / 2  # 1e-3 of the range, which is 2
        torch.testing.assert_close(halved(image), low, atol=1e-5, rtol=0)
        assert refiner.details(image).abs().mean() > 0.1  # it is no mere enlargement


@pytest.mark.parametrize("space", SPACES)
def test_means_and_details_are_the_image(space: tuple[int, ...]) -> None:
    refiner = refiner_of(len(space))
    image = 2 * torch.rand(2, 1, *(2 * size for size in space)) - 1
    again = refiner.image(halved(image), refiner.details(image))
    torch.testing.assert_close(again, image, atol=1e-5, rtol=0)


def test_details_shrink_by_block_and_only_where_they_must() -> None:
    low = torch.tensor([[[[0.5, 0.0]]]])
    detail = torch.tensor([[1.0, -1.0, 0.25, -0.25], [-1.0, 1.0, 0.25, -0.25]])
    image = low.repeat_interleave(2, 2).repeat_interleave(2, 3) + detail
    made = contained(image, low)
    torch.testing.assert_close(made[0, 0, :, :2], torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    torch.testing.assert_close(made[..., 2:], image[..., 2:])
    torch.testing.assert_close(halved(made), low)
