"""Regions grow by millimetres, whatever the voxels are, and fade to exactly nothing."""

import numpy as np
import pytest
from scipy import ndimage

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


def blob(*low: int) -> np.ndarray:
    """A ragged region of 5 voxels a side that begins there."""
    region = np.zeros((24, 21, 18), bool)
    ragged = np.random.default_rng(0).random((5, 5, 5)) > 0.3
    region[tuple(slice(start, start + 5) for start in low)] = ragged
    return region


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 1.3, 2.5)])
@pytest.mark.parametrize(
    "region",
    [blob(0, 0, 0), blob(19, 16, 13), blob(9, 8, 7), np.ones((24, 21, 18), bool)],
    ids=["first corner", "last corner", "middle", "all"],
)
def test_distances_are_those_through_the_whole_image(
    region: np.ndarray, spacing: tuple[float, float, float]
) -> None:
    away = ndimage.distance_transform_edt(~region, sampling=spacing).astype(np.float32)
    for reach in (0.5, 3.0, 4.2, 99.0):
        assert np.array_equal(dilated(region, reach, spacing), region | (away <= reach))
        fall = (1 + np.cos(np.pi * np.clip(away / reach, 0, 1))) / 2
        expected = np.where(region, 1, np.where(away < reach, fall, 0))
        assert np.array_equal(feathered(region, reach, spacing), expected)
