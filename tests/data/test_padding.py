"""Padding is told from air, and goes on as what is beside it."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from medgen.data.padding import continued, padding_of

SHAPE = (60, 50, 40)


def points(*, degrees: float = 0) -> np.ndarray:
    """Where each voxel lies from the middle of the volume, in the frame of a turned scanner."""
    middle = (np.array(SHAPE) - 1) / 2
    turned = Rotation.from_euler("xyz", [degrees, -degrees, 2 * degrees], degrees=True)
    return (np.moveaxis(np.indices(SHAPE), 0, -1) - middle) @ turned.as_matrix()


def block(degrees: float) -> np.ndarray:
    """Of a turned scan, whose ends are cut by the volume."""
    return (np.abs(points(degrees=degrees)) < (22, 40, 14)).all(axis=-1)


def scan(*, air: float = 2.0) -> np.ndarray:
    """A head, which has noise around it."""
    inside = (points() ** 2 / np.array([24, 20, 17]) ** 2).sum(axis=-1) < 1
    noise = np.random.default_rng(0).rayleigh(1.0, SHAPE)
    return np.where(inside, 100.0 + noise, air * noise).astype(np.float32)


@pytest.mark.parametrize("degrees", [0, 5, 12, 30])
def test_a_turned_scan_in_a_box_of_zeros_is_found_to_the_voxel(degrees: float) -> None:
    found = padding_of(np.where(block(degrees), scan(), 0))
    assert np.array_equal(found, ~block(degrees))


@pytest.mark.parametrize("air", [0, 2])
def test_air_is_no_padding(air: float) -> None:
    assert not padding_of(scan(air=air)).any()


def test_zeros_inside_are_not_padding() -> None:
    voxels = np.where(block(12), scan(), 0)
    voxels[28:32, 22:28, 18:22] = 0
    assert np.array_equal(padding_of(voxels), ~block(12))


@pytest.mark.parametrize("voxels", [np.zeros(SHAPE), scan()[..., :1], np.eye(4)[..., None]])
def test_nothing_and_single_slices_have_none(voxels: np.ndarray) -> None:
    assert not padding_of(voxels).any()


def test_the_nearest_voxel_goes_on_and_tells_nothing_beyond_its_neighbours() -> None:
    """Slices are 3 mm apart: two voxels to the side are nearer than one slice."""
    voxels = np.where(block(0), scan(), 0)
    voxels[..., 20:] = 0
    filled, unknown = continued(voxels, (1.0, 1.0, 3.0))
    measured = ~padding_of(voxels)
    assert np.array_equal(filled[measured], voxels[measured])
    assert (filled[20:40, 10:40, 20] == voxels[20:40, 10:40, 19]).all()
    at = np.argwhere(measured)[:, 0].min()
    assert np.array_equal(filled[at - 2, :, 15], voxels[at, :, 15])
    reached = ndimage.maximum_filter(measured, 3)
    assert np.array_equal(unknown, ~reached)
    assert not unknown[measured].any()


def test_what_is_not_padded_is_handed_back() -> None:
    voxels = scan()
    filled, unknown = continued(voxels, (1.0, 1.0, 1.0))
    assert filled is voxels
    assert not unknown.any()
