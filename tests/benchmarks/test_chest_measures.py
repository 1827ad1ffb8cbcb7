"""What is measured in a chest of boxes and balls is what was put there."""

import numpy as np
import pytest

from benchmarks.chest_measures import measure_chest
from medgen.finding import Side

SPACING = 3.0
SHAPE = (112, 80, 90)
MIDDLE = np.array([55.5, 39.5, 45.0])  # voxels


def chest(*, fluid_mm: float = 0.0, side: Side = Side.LEFT, heart_mm: float = 45.0) -> np.ndarray:
    """Fat with two lungs of 100 mm across, a ball of muscle between them, and a level of fluid.

    Args:
        fluid_mm: How deep the fluid is in the lung of that side.
        side: Of the fluid.
        heart_mm: Radius of the ball.
    """
    x, y, z = (
        (axis - middle) * SPACING for axis, middle in zip(np.indices(SHAPE), MIDDLE, strict=True)
    )
    hu = np.where((abs(x) < 145) & (abs(y) < 95), -100.0, -1000.0)
    for sign, name in ((-1, Side.LEFT), (1, Side.RIGHT)):
        lung = (abs(x - 70 * sign) < 50) & (abs(y) < 70) & (abs(z) < 110)
        hu[lung] = -800
        if name is side:
            hu[lung & (z < fluid_mm - 110)] = 10
    hu[x**2 + y**2 + z**2 < heart_mm**2] = 50
    return hu + np.random.default_rng(0).normal(0, 15, SHAPE)


def test_a_healthy_chest() -> None:
    found = measure_chest(chest(), SPACING)
    assert set(found.fluid_ml.values()) == {0.0}
    assert np.isnan(found.density_hu)
    assert found.heart_ratio == pytest.approx(90 / 240, abs=0.03)
    assert not found.shows("cardiomegaly", None)


@pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT])
def test_fluid_is_where_it_is(side: Side) -> None:
    found = measure_chest(chest(fluid_mm=60, side=side), SPACING)
    there, *others = (found.fluid_ml[each] for each in (side, Side.LEFT, Side.RIGHT))
    assert there == pytest.approx(100 * 140 * 60 / 1000, rel=0.3)  # less its blurred edges
    assert min(others) == 0
    assert found.density_hu == pytest.approx(10, abs=2)
    assert [found.shows("pleural_effusion", each) for each in (Side.LEFT, Side.RIGHT)] == [
        side is Side.LEFT,
        side is Side.RIGHT,
    ]


def test_a_wide_heart() -> None:
    found = measure_chest(chest(heart_mm=65), SPACING)
    assert found.heart_ratio == pytest.approx(130 / 240, abs=0.05)
    assert found.shows("cardiomegaly", None)


def test_fat_alone() -> None:
    found = measure_chest(np.full((30, 30, 30), -100.0), SPACING)
    assert np.isnan(found.heart_ratio)
    assert not found.shows("cardiomegaly", None)
