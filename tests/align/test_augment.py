"""A view is the image a little changed: never mirrored, never out of range, the same again."""

import math
from dataclasses import fields, replace

import pytest
import torch

from medgen.align.augment import AugmentConfig, augmented, motion

NOTHING = AugmentConfig(**{field.name: 0.0 for field in fields(AugmentConfig)})
SPACES = [(48, 40), (24, 28, 20)]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(space: tuple[int, ...]) -> torch.Tensor:
    return torch.rand(2, *space, generator=seeded(9)) * 2 - 1


@pytest.mark.parametrize("space", SPACES)
def test_the_same_generator_gives_the_same_view(space: tuple[int, ...]) -> None:
    image, config = picture(space), AugmentConfig()
    before = image.clone()
    view = augmented(image, seeded(), config)
    assert torch.equal(view, augmented(image, seeded(), config))
    assert not torch.equal(view, augmented(image, seeded(1), config))
    assert torch.equal(image, before)
    assert view.shape == image.shape


@pytest.mark.parametrize("space", SPACES)
def test_views_stay_in_range(space: tuple[int, ...]) -> None:
    wild = AugmentConfig(30, 0.5, 0.3, 2.0, 1.0, 3.0, 1.0, 0.5)
    for seed in range(10):
        view = augmented(picture(space), seeded(seed), wild)
        assert view.isfinite().all()
        assert -1 <= float(view.min()) <= float(view.max()) <= 1


@pytest.mark.parametrize("space", SPACES)
def test_no_change_is_no_change(space: tuple[int, ...]) -> None:
    image = picture(space)
    torch.testing.assert_close(augmented(image, seeded(), NOTHING), image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("space", SPACES)
def test_every_axis_keeps_its_direction(space: tuple[int, ...]) -> None:
    """Nothing is mirrored: a ramp along an axis is still a ramp, the same way up."""
    for axis, size in enumerate(space):
        shape = [1] * (1 + len(space))
        shape[1 + axis] = size
        ramp = torch.linspace(-1, 1, size).reshape(shape).expand(1, *space)
        for seed in range(20):
            view = augmented(ramp, seeded(seed), AugmentConfig())
            assert float(torch.corrcoef(torch.stack([view.flatten(), ramp.flatten()]))[0, 1]) > 0.8


@pytest.mark.parametrize("space", SPACES)
def test_motions_turn_zoom_and_shift_by_no_more_than_they_may(space: tuple[int, ...]) -> None:
    config, axes = AugmentConfig(degrees=10, zoom=0.2, shift=0.1), len(space)
    edges = torch.diag(torch.tensor([float(size) for size in reversed(space)]))
    for seed in range(50):
        theta = motion(seeded(seed), space, config)
        turn = edges @ theta[:, :axes] @ edges.inverse()  # in voxels, whose axes have one length
        zoom = torch.linalg.det(turn) ** (1 / axes)
        assert 1 / 1.2 <= float(zoom) <= 1 / 0.8
        torch.testing.assert_close(turn @ turn.T, zoom**2 * torch.eye(axes), atol=1e-5, rtol=0)
        least = math.cos(math.radians(10)) ** (axes - 1) - 1e-6
        assert float((turn / zoom).diagonal().min()) >= least - 0.05 * (axes - 2)
        assert float(theta[:, axes].abs().max()) <= 0.2


def test_a_shift_is_a_share_of_the_axis() -> None:
    """Fifty voxels, a tenth: a step moves by at most five."""
    step = (torch.arange(50) >= 25).float().expand(1, 30, 50) * 2 - 1
    moved = set()
    for seed in range(30):
        view = augmented(step, seeded(seed), replace(NOTHING, shift=0.1))
        moved.add(round(float((view > 0).float().sum(2).mean()) - 25))
    assert moved <= set(range(-5, 6))
    assert min(moved) <= -4
    assert max(moved) >= 4


@pytest.mark.parametrize("space", SPACES)
def test_blur_and_gamma_leave_a_flat_image_flat(space: tuple[int, ...]) -> None:
    flat = torch.full((1, *space), 0.2)
    view = augmented(flat, seeded(), replace(NOTHING, blur=2.0))
    torch.testing.assert_close(view, flat)
    view = augmented(flat, seeded(), replace(NOTHING, gamma=0.5))
    assert float(view.max() - view.min()) < 1e-6
    assert abs(float(view.mean()) - 0.2) > 1e-3


def test_noise_has_the_deviation_it_may_have() -> None:
    flat = torch.zeros(1, 60, 60)
    deviations = [
        float(augmented(flat, seeded(seed), replace(NOTHING, noise=0.05)).std())
        for seed in range(40)
    ]
    assert max(deviations) < 2 * 0.05 * 1.05
    assert max(deviations) > 2 * 0.05 * 0.8


@pytest.mark.parametrize("space", SPACES)
def test_what_is_erased_is_one_small_box(space: tuple[int, ...]) -> None:
    image = picture(space)
    sizes = []
    for seed in range(20):
        view = augmented(image, seeded(seed), replace(NOTHING, erase=0.3))
        gone = (view - image).abs() > 1e-4
        sizes.append(int(gone.any(0).sum()))
        for axis, size in enumerate(space):
            others = [other for other in range(1 + len(space)) if other != axis + 1]
            assert int(gone.sum(others).bool().sum()) <= math.ceil(0.3 * size)
    assert 0 < max(sizes) <= 0.3 ** len(space) * 1.3 * math.prod(space)
