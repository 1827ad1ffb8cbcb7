"""A known rigid motion between two images of different kinds is found within half a millimetre."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from medgen.data.register import Shift, apply_shift, measure_shift
from medgen.errors import InputError
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import Kind

HU = np.array([-1000.0, -100.0, 40.0, 20.0, 900.0])  # air, fat, muscle, organ, bone
T1 = np.array([0.0, 900.0, 350.0, 600.0, 60.0])


def tissue(points: np.ndarray) -> np.ndarray:
    """A lopsided body with an organ and two bones, known at every point. Points (..., 3) in mm."""

    def blob(centre: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
        return (((points - np.array(centre)) / np.array(radii)) ** 2).sum(-1) < 1

    label = np.zeros(points.shape[:-1], int)
    label[blob((0, 0, 0), (62, 50, 70))] = 1
    label[blob((4, -6, 3), (52, 38, 60))] = 2
    label[blob((-20, 8, 10), (18, 14, 22))] = 3
    label[blob((25, -12, -15), (9, 10, 30))] = 4
    label[blob((2, -28, 25), (12, 7, 14))] = 4
    return label


def seen(affine: np.ndarray, shape: tuple[int, ...], values: np.ndarray, word: str) -> MedicalImage:
    ijk = np.moveaxis(np.indices(shape), 0, -1)
    voxels = values[tissue(ijk @ affine[:3, :3].T + affine[:3, 3])]
    noise = np.random.default_rng(len(word)).normal(0, 15, shape)
    smooth = gaussian_filter(voxels, 0.5) + noise
    return MedicalImage(smooth.astype(np.float32), Geometry(affine), Kind.parse(word))


@pytest.fixture(scope="module")
def ct() -> MedicalImage:
    affine = np.array([[-2.0, 0, 0, 75], [0, -2.0, 0, 62], [0, 0, 3.0, -80], [0, 0, 0, 1]])
    return seen(affine, (76, 63, 54), HU, "ct")


@pytest.fixture(scope="module")
def mri() -> MedicalImage:
    affine = np.array([[0.0, 0, 3.0, -66], [2.2, 0, 0, -55], [0, 2.2, 0, -70], [0, 0, 0, 1]])
    return seen(affine, (50, 63, 45), T1, "mri:t1")


def moved(image: MedicalImage, translation: list[float], degrees: float) -> MedicalImage:
    angle = np.radians(degrees)
    motion = np.eye(4)
    motion[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    motion[:3, 3] = translation
    return MedicalImage(image.voxels, Geometry(motion @ image.geometry.affine), image.kind)


def landmark_error(image: MedicalImage, truth: MedicalImage) -> float:
    """Largest distance in mm between the same voxels of two images, on the field's corners."""
    corners = np.array([[i, j, k, 1] for i in (0, 49) for j in (0, 62) for k in (0, 44)])
    apart = corners @ (image.geometry.affine - truth.geometry.affine).T
    return float(np.linalg.norm(apart[:, :3], axis=1).max())


@pytest.fixture(scope="module")
def unmoved(ct: MedicalImage, mri: MedicalImage) -> Shift:
    return measure_shift(ct, mri)


MOTIONS = [([4.0, -3.0, 5.0], 0.0), ([-6.0, 2.0, 1.0], 4.0)]


@pytest.fixture(scope="module")
def shifts(ct: MedicalImage, mri: MedicalImage) -> list[Shift]:
    return [measure_shift(ct, moved(mri, *motion)) for motion in MOTIONS]


def test_a_registered_pair_has_no_shift(unmoved: Shift) -> None:
    assert unmoved.mm < 0.5


@pytest.mark.parametrize("number", range(len(MOTIONS)))
def test_a_known_motion_is_undone(
    ct: MedicalImage, mri: MedicalImage, shifts: list[Shift], number: int
) -> None:
    translation, degrees = MOTIONS[number]
    knocked, shift = moved(mri, translation, degrees), shifts[number]
    assert shift.rotation_degrees == pytest.approx(degrees, abs=0.5)
    assert np.allclose(shift.transform[:3, :3] @ shift.transform[:3, :3].T, np.eye(3))
    assert landmark_error(apply_shift(knocked, shift), mri) < 1.0  # far corners; the body is nearer
    assert measure_shift(ct, apply_shift(knocked, shift)).mm < 0.5


def test_a_translation_is_measured_in_mm_towards_the_fixed_image(shifts: list[Shift]) -> None:
    assert shifts[0].mm == pytest.approx(50**0.5, abs=0.5)
    assert shifts[0].transform[:3, 3] == pytest.approx([-4.0, 3.0, -5.0], abs=0.5)


def test_either_may_be_the_fixed_one(
    ct: MedicalImage, mri: MedicalImage, shifts: list[Shift]
) -> None:
    back = measure_shift(moved(mri, *MOTIONS[1]), ct)
    assert np.allclose(shifts[1].transform @ back.transform, np.eye(4), atol=1e-6)


def test_the_same_pair_gives_the_same_bits(
    ct: MedicalImage, mri: MedicalImage, unmoved: Shift
) -> None:
    assert np.array_equal(measure_shift(ct, mri).transform, unmoved.transform)


def test_no_voxel_changes(mri: MedicalImage, unmoved: Shift) -> None:
    assert apply_shift(mri, unmoved).voxels is mri.voxels


def test_images_far_apart_are_refused(ct: MedicalImage, mri: MedicalImage) -> None:
    with pytest.raises(InputError, match="does not overlap"):
        measure_shift(ct, moved(mri, [5000.0, 0.0, 0.0], 0.0))
