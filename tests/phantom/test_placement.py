"""Placing an anatomy moves it as the configuration says, and not at all when it says still."""

from dataclasses import replace

import pytest
import torch
from torch import Generator

from medgen.phantom.anatomy import Anatomy
from medgen.phantom.placement import STILL, PlacementConfig, place, random_affine, random_centre

TISSUE = torch.randint(1, 9, (20, 24, 28), generator=Generator().manual_seed(0)).to(torch.uint8)
ANATOMY = Anatomy("blocks", TISSUE, (1.0, 1.0, 1.0))
ORIGIN = torch.zeros(3)


def placed(config: PlacementConfig, anatomy: Anatomy = ANATOMY, **changes: object) -> torch.Tensor:
    settings = {"spacing": 1.0, "centre": ORIGIN, "generator": Generator().manual_seed(5)} | changes
    return place(anatomy, settings.pop("shape", (20, 24, 28)), config=config, **settings)


def test_still_is_the_anatomy_itself() -> None:
    assert torch.equal(placed(STILL), TISSUE)


def test_still_works_on_odd_and_even_grids() -> None:
    assert torch.equal(placed(STILL, shape=(18, 22, 26)), TISSUE[1:-1, 1:-1, 1:-1])


def test_mirroring_flips_left_and_right() -> None:
    assert torch.equal(placed(replace(STILL, mirror=1.01)), TISSUE.flip(0))


def test_the_centre_moves_the_view() -> None:
    moved = placed(STILL, centre=torch.tensor([2.0, -3.0, 4.0]))
    assert torch.equal(moved[:-2, 3:, :-4], TISSUE[2:, :-3, 4:])


def test_beyond_the_anatomy_is_air() -> None:
    large = placed(STILL, shape=(40, 44, 48))
    assert torch.equal(large[10:30, 10:34, 10:38], TISSUE)
    assert large.count_nonzero() == TISSUE.count_nonzero()


def test_spacing_is_millimetres() -> None:
    coarse = replace(ANATOMY, spacing=(2.0, 1.0, 1.0))
    view = placed(STILL, coarse, shape=(40, 24, 28))
    assert torch.equal(view[1::2], TISSUE)
    assert torch.equal(view[0::2], TISSUE)


def test_same_generator_same_patient() -> None:
    config = PlacementConfig()
    assert torch.equal(placed(config), placed(config))
    assert not torch.equal(placed(config), placed(config, generator=Generator().manual_seed(6)))


@pytest.mark.parametrize("seed", range(10))
def test_the_affine_is_a_rotation_times_sizes(seed: int) -> None:
    config = PlacementConfig(rotation=15, size=0.1)
    matrix = random_affine(Generator().manual_seed(seed), config)
    lengths = matrix.norm(dim=0)
    assert torch.all((lengths >= 0.9 - 1e-5) & (lengths <= 1.1 + 1e-5))
    axes = matrix / lengths
    assert torch.allclose(axes.T @ axes, torch.eye(3), atol=1e-5)


def test_centres_stay_where_most_of_a_patch_is_in_the_body() -> None:
    large = Anatomy("large", torch.ones(200, 200, 200, dtype=torch.uint8), (1.0, 1.0, 1.0))
    generator = Generator().manual_seed(0)
    for _ in range(50):
        assert random_centre(large, 80, generator).abs().max() <= 60 + 12
