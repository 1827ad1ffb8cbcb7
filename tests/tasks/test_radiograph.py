"""The radiograph of a CT stands upright whatever the order of its voxels, and shows no couch."""

import numpy as np
import pytest

from medgen.errors import InputError
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import Kind
from medgen.tasks.radiograph import radiograph_of

CT = Kind.parse("ct")


def patient() -> np.ndarray:
    """Water, RAS+ voxels of 4 mm, with bone at the right, a lung at the left, bone on the head."""
    hu = np.full((50, 40, 60), -1000, np.float32)
    hu[5:45, 8:32, 5:55] = 20
    hu[38:42, 12:28, 10:50] = 900  # right
    hu[10:18, 12:28, 10:50] = -800  # left
    hu[15:35, 12:28, 50:55] = 900  # head
    hu[15:35, 10:14, 28:32] = 900  # back
    return hu


def image(hu: np.ndarray, affine: np.ndarray | None = None) -> MedicalImage:
    return MedicalImage(hu, Geometry(np.diag([4.0, 4, 4, 1]) if affine is None else affine), CT)


def test_right_is_at_the_left_and_the_head_above() -> None:
    made = radiograph_of(image(patient()), "pa")
    grey = made.voxels.astype(float)
    rows, columns = grey.shape
    left, right = grey[:, : columns // 2].mean(), grey[:, columns // 2 :].mean()
    assert left > right + 200  # bone at the patient's right, lung at the left
    above, below = grey[: rows // 3, columns // 2 - 4 : columns // 2 + 4], grey[-rows // 3 :]
    assert above.max() > below[:, columns // 2].max()
    assert made.geometry.orientation[:2] == "IL"
    assert made.geometry.spacing[:2] == (4, 4)


def test_a_lateral_view_looks_to_the_left() -> None:
    hu = patient()
    hu[15:35, 26:30, 28:32] = -700  # in front
    made = radiograph_of(image(hu), "lateral")
    middle = made.voxels[made.voxels.shape[0] // 2 - 2].astype(float)
    half = len(middle) // 2
    assert made.geometry.orientation[:2] == "IP"
    assert middle[half:].max() > middle[:half].max()


@pytest.mark.parametrize(
    ("axes", "signs"),
    [((0, 1, 2), (-1, -1, 1)), ((2, 0, 1), (1, -1, -1)), ((1, 2, 0), (-1, 1, 1))],
)
def test_the_order_of_the_voxels_changes_nothing(
    axes: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    upright = radiograph_of(image(patient()), "pa").voxels
    turned = patient().transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]
    affine = np.zeros((4, 4))
    for voxel, (world, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[world, voxel] = 4 * sign
    affine[3, 3] = 1
    made = radiograph_of(image(np.ascontiguousarray(turned), affine), "pa").voxels
    assert np.array_equal(made, upright)


def test_the_couch_does_not_show() -> None:
    with_couch = patient()
    with_couch[2:48, 2:4, 5:55] = 200
    assert np.array_equal(
        radiograph_of(image(with_couch), "pa").voxels, radiograph_of(image(patient()), "pa").voxels
    )


def test_pixels_are_as_fine_as_the_finest_side_of_a_voxel() -> None:
    made = radiograph_of(image(patient(), np.diag([2.0, 3, 8, 1])), "ap")
    assert made.geometry.spacing[:2] == (2, 2)


def test_a_scan_longer_than_the_room_is_refused() -> None:
    with pytest.raises(InputError, match="reaches the tube, 1000 mm"):
        radiograph_of(image(patient(), np.diag([4.0, 40, 4, 1])), "ap")
