"""Regions grow by millimetres, whatever the voxels are, and fade to exactly nothing."""

import numpy as np
import pytest

from medgen.data.feather import dilated, feathered

POINT = np.zeros((9, 9), bool)
POINT[4, 4] = True


@pytest.mark.parametrize(("spacing", "rows"), [((1.0, 1.0), 5), ((2.0, 1.0), 3)])
def test_a_region_grows_by_millimetres(spacing: tuple[float, float], rows: int) -> None:
    grown = dilated(POINT, 2.0, spacing)
    assert grown.any(1).sum() == rows
    assert grown.any(0).sum() == 5


def test_0_mm_is_the_region_itself() -> None:
    assert np.array_equal(dilated(POINT, 0.0, (1.0, 1.0)), POINT)
    assert np.array_equal(feathered(POINT, 0.0, (1.0, 1.0)), POINT)


def test_a_feather_is_1_inside_and_0_from_its_width_on() -> None:
    weight = feathered(POINT, 3.0, (1.0, 1.0))
    assert weight[4, 4] == 1
    np.testing.assert_allclose(weight[4, 5:8], [0.75, 0.25, 0.0], atol=1e-6)
    rows, columns = np.indices(POINT.shape)
    far = np.hypot(rows - 4, columns - 4) >= 3
    assert (weight[far] == 0).all()
    assert (weight[~far] > 0).all()
