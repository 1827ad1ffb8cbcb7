"""What is measured in a head of balls is what was put there."""

import numpy as np
import pytest

from benchmarks.head_measures import BLOOD_ML, WIDE, measure_head
from medgen.finding import Side

SPACING = 2.5
SIZE = 77
BOTH = (Side.LEFT, Side.RIGHT)


def head(
    *,
    blood_mm: float = 0.0,
    side: Side = Side.LEFT,
    hu: float = 65.0,
    deep_mm: float = 40.0,
    fluid_mm: float = 14.0,
) -> np.ndarray:
    """A ball of brain in a shell of bone with skin, and a ball each of blood and of fluid in it.

    Args:
        blood_mm: Diameter of the bleeding.
        side: Of the bleeding.
        hu: Of the bleeding.
        deep_mm: How far it is from the middle.
        fluid_mm: Radius of the fluid in the middle.
    """
    grid = (np.indices((SIZE, SIZE, SIZE)) - (SIZE - 1) / 2) * SPACING
    radius = np.sqrt((grid**2).sum(0))
    volume = np.full(radius.shape, -1000.0)
    for outer, value in ((88, 40.0), (82, 900.0), (75, 34.0), (fluid_mm, 8.0)):
        volume[radius < outer] = value
    centre = np.array([deep_mm if side is Side.RIGHT else -deep_mm, 0.0, 0.0]).reshape(3, 1, 1, 1)
    volume[((grid - centre) ** 2).sum(0) < (blood_mm / 2) ** 2] = hu
    return volume + np.random.default_rng(0).normal(0, 6, volume.shape)


def test_a_healthy_head() -> None:
    found = measure_head(head(), SPACING)
    assert set(found.blood_ml.values()) == {0.0}
    assert np.isnan(found.density_hu)
    assert found.ventricles == pytest.approx((14 / 75) ** 3, abs=0.01)
    assert not found.shows("ventriculomegaly", None)


@pytest.mark.parametrize("side", BOTH)
def test_blood_is_where_it_is(side: Side) -> None:
    found = measure_head(head(blood_mm=30, side=side), SPACING)
    assert found.blood_ml[side] == pytest.approx(14.1, rel=0.2)  # of the ball
    assert [found.shows("haemorrhage", each) for each in BOTH] == [side is each for each in BOTH]
    assert 58 < found.density_hu < 66


@pytest.mark.parametrize(
    "lump",
    [
        {"blood_mm": 30, "hu": 42.0},  # a tumour
        {"blood_mm": 12, "hu": 400.0},  # chalk, and its rim
        {"blood_mm": 7},  # too small to be told
        {"blood_mm": 30, "hu": 20.0},  # an infarct
    ],
)
def test_what_is_no_blood(lump: dict[str, float]) -> None:
    found = measure_head(head(**lump), SPACING)  # type: ignore[arg-type]
    assert max(found.blood_ml.values()) <= BLOOD_ML


def test_the_blur_of_bone_is_no_blood() -> None:
    found = measure_head(head(blood_mm=20, hu=900.0, deep_mm=68.0), SPACING)
    assert not any(found.shows("haemorrhage", side) for side in BOTH)


def test_wide_ventricles() -> None:
    found = measure_head(head(fluid_mm=36), SPACING)
    assert found.ventricles == pytest.approx((36 / 75) ** 3, rel=0.25)
    assert found.ventricles > WIDE
    assert found.shows("ventriculomegaly", None)


@pytest.mark.parametrize("hu", [-1000.0, 40.0, 1000.0])
def test_one_tissue_alone(hu: float) -> None:
    found = measure_head(np.full((30, 30, 30), hu), SPACING)
    assert not any(found.shows("haemorrhage", side) for side in BOTH)
    assert not found.shows("ventriculomegaly", None)
