"""An image that is not what it is said to be, or unlike the training data, is refused by name."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medgen.checkpoint import TrainingRange
from medgen.errors import InputError, OutOfRangeError, UsageError
from medgen.io.detector import flat_detector
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage, Source
from medgen.modality import Kind
from medgen.tasks.preflight import (
    check_range,
    check_same_place,
    looks_like_ct,
    unlike_training,
    with_kind,
)

CT, MRI, T1 = (Kind.parse(word) for word in ("ct", "mri", "mri:t1"))
RNG = np.random.default_rng(0)
SEEN = TrainingRange((0.5, 3.0), (40.0, 300.0), {"ct": (-1100, 3500)})


def image(voxels: np.ndarray, kind: Kind | None = None, spacing: float = 2.0) -> MedicalImage:
    geometry = Geometry(np.diag([spacing] * 3 + [1.0]))
    return MedicalImage(voxels, geometry, kind, Source(Path("scan.nii"), "nifti", ""))


@pytest.fixture
def ct(volumes: SimpleNamespace) -> np.ndarray:
    return volumes.head("ct")


@pytest.fixture
def mri(volumes: SimpleNamespace) -> np.ndarray:
    return volumes.head("mri")


def thorax() -> np.ndarray:
    """No air around it; lungs, and a trachea."""
    hu = RNG.normal(40, 15, (40, 40, 40))
    hu[5:15, 5:35], hu[25:35, 5:35] = RNG.normal(-820, 60, (2, 10, 30, 40))
    hu[18:22, 18:22] = -1000
    return hu.round().astype(np.int16)


@pytest.mark.parametrize("padding", [-1024, -2000, -3024])
def test_padding_outside_the_circle_is_still_ct(ct: np.ndarray, padding: int) -> None:
    ct[:4] = padding
    assert looks_like_ct(image(ct))
    assert with_kind(image(ct), None).kind == CT
    assert not list(unlike_training(image(ct, CT), SEEN))


def test_padding_with_blurred_edges_is_still_ct(ct: np.ndarray) -> None:
    ct[:4], ct[4, :2] = -3024, -2000
    assert looks_like_ct(image(ct))


def test_a_thorax_without_air_around_it_is_ct() -> None:
    assert looks_like_ct(image(thorax()))


def test_an_mri_is_not_ct(mri: np.ndarray) -> None:
    assert not looks_like_ct(image(mri))
    assert with_kind(image(mri), None).kind == MRI


@pytest.mark.parametrize("low", [-30, -300, -1500])
def test_an_mri_with_negative_numbers_is_not_ct(mri: np.ndarray, low: int) -> None:
    """Some vendors' filters ring below zero."""
    mri[RNG.random(mri.shape) < 0.01] = low
    mri = mri - RNG.integers(0, 40, mri.shape).astype(np.int16)
    assert not looks_like_ct(image(mri))
    assert with_kind(image(mri), T1).kind == T1


@pytest.mark.parametrize("half", [1000, 3142, 4096])
def test_a_phase_image_is_not_ct(half: int) -> None:
    phase = RNG.integers(-half, half, (30, 30, 30)).astype(np.int16)
    assert not looks_like_ct(image(phase))


def test_without_air_the_numbers_do_not_tell_but_the_user_may(ct: np.ndarray) -> None:
    brain = RNG.normal(35, 8, (20, 20, 20))
    brain[:3] = RNG.normal(-100, 10, (3, 20, 20))  # fat of the orbit
    brain[10, 10, 10:15] = 900
    assert with_kind(image(brain), None).kind == MRI
    assert with_kind(image(brain), CT).kind == CT
    assert with_kind(image(brain, CT), None).kind == CT


def test_ct_given_as_mri_is_refused(ct: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"^scan.nii: is given as MRI but holds HU .*--from ct$"):
        with_kind(image(ct), T1)


def test_mri_given_as_ct_is_refused(mri: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"^scan.nii: is given as CT but .*--from mri$"):
        with_kind(image(mri), CT)


def test_a_file_that_lies_is_refused_too(ct: np.ndarray, mri: np.ndarray) -> None:
    for voxels, kind in ((ct, MRI), (mri, CT)):
        with pytest.raises(InputError, match="is given as"):
            with_kind(image(voxels, kind), None)


def test_what_the_user_says_is_stronger_than_the_file(mri: np.ndarray) -> None:
    assert with_kind(image(mri, T1), Kind.parse("mri:t2")).kind == Kind.parse("mri:t2")


def test_saying_less_than_the_file_forgets_nothing(mri: np.ndarray) -> None:
    assert with_kind(image(mri, T1), MRI).kind == T1


def test_a_radiograph_is_no_volume() -> None:
    flat = MedicalImage(np.arange(12.0).reshape(3, 4), flat_detector(), Kind.parse("xray"))
    with pytest.raises(UsageError, match="is a radiograph"):
        with_kind(flat, None)


@pytest.mark.parametrize(
    ("spacing", "reason"),
    [(0.3, "voxel spacing 0.3 x 0.3 x 0.3 mm"), (3.5, "voxel spacing"), (1.0, "field of view")],
)
def test_each_reason_names_both_ranges(mri: np.ndarray, spacing: float, reason: str) -> None:
    [first, *_] = unlike_training(image(mri, MRI, spacing), SEEN)
    assert first.startswith(reason)
    assert "the model was trained on" in first


def test_the_ends_of_a_range_belong_to_it(mri: np.ndarray) -> None:
    edge = image(np.pad(mri, ((62, 62), (63, 63), (61, 61))), MRI, 1.9995)  # 150 x 2 mm
    assert not list(unlike_training(edge, SEEN))


def test_impossible_hu_are_outside(ct: np.ndarray) -> None:
    ct[:2] = 9000
    [reason] = unlike_training(image(ct, CT), SEEN)
    assert reason.startswith("intensities -1")


def test_outside_is_an_error_or_under_force_a_warning(mri: np.ndarray) -> None:
    small = image(mri, MRI, 1.0)
    with pytest.raises(OutOfRangeError, match=r"^scan.nii: field of view .*--force"):
        check_range(small, SEEN, force=False)
    [warning] = check_range(small, SEEN, force=True)
    assert warning.startswith("scan.nii: field of view")
    assert check_range(small, None, force=False) == []


def test_images_must_overlap(mri: np.ndarray) -> None:
    first = image(mri, MRI)
    check_same_place(first, first)
    affine = first.geometry.affine.copy()
    affine[0, 3] = 40.0
    far = MedicalImage(mri, Geometry(affine), MRI, Source(Path("other.nii"), "nifti", ""))
    with pytest.raises(InputError, match=r"^other.nii: covers \d+% of the first image"):
        check_same_place(first, far)
