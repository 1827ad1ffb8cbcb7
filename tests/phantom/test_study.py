"""A study is decided by its seed and number alone, and its facts are true."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from medgen.errors import UsageError
from medgen.modality import Kind
from medgen.phantom.anatomy import Anatomy
from medgen.phantom.study import SimulatedStudy, simulate_study, with_longer_neck
from medgen.phantom.study_config import StudyConfig

SMALL = StudyConfig(seed=3, spacing=6.0, partial=0, thick=0)
CT = Kind.parse("ct")


@pytest.fixture(scope="module")
def study() -> SimulatedStudy:
    return simulate_study(SMALL, 0)


def labels(path: Path, spacing: float = 2.0) -> Path:
    """A cube of brain in bone."""
    voxels = np.zeros((30, 32, 34), np.int16)
    voxels[3:27, 3:29, 0:30], voxels[6:24, 6:26, 6:27] = 515, 3
    nib.save(nib.Nifti1Image(voxels, np.diag([*[spacing] * 3, 1])), path)
    return path


def test_a_study_has_a_ct_and_every_contrast(study: SimulatedStudy) -> None:
    assert [str(kind) for kind in study.images] == ["ct", "mri:t1", "mri:t2", "mri:flair", "mri:pd"]


def test_one_contrast_is_the_same_alone(study: SimulatedStudy) -> None:
    alone = simulate_study(replace(SMALL, contrasts=("t2",)), 0)
    for kind, image in alone.images.items():
        assert np.array_equal(image.voxels, study.images[kind].voxels)


def test_other_numbers_and_seeds_are_other_patients(study: SimulatedStudy) -> None:
    ct_alone = replace(SMALL, contrasts=())
    for other in (simulate_study(ct_alone, 1), simulate_study(replace(ct_alone, seed=4), 0)):
        assert not np.array_equal(other.images[CT].voxels, study.images[CT].voxels)


def test_images_of_a_patient_fit_each_other(study: SimulatedStudy) -> None:
    """Where the CT has air outside the patient, no MRI has signal."""
    outside = study.images[CT].voxels < -900
    outside[2:-2, 2:-2, 2:-2] = False
    for kind, image in study.images.items():
        assert np.allclose(image.geometry.affine, study.images[CT].geometry.affine)
        if kind != CT:
            assert image.voxels[outside].mean() < 100


def test_facts_tell_the_protocols_and_the_grid(study: SimulatedStudy) -> None:
    facts = study.facts
    assert facts["findings"] == []
    for word, image in facts["images"].items():
        assert tuple(image["size"]) == study.images[Kind.parse(word)].voxels.shape
        assert image["spacing_mm"] == [6.0, 6.0, 6.0]
    t1 = facts["images"]["mri:t1"]["protocol"]
    assert set(t1) >= {"readout", "repetition_time", "echo_time", "inversion_time", "flip_angle"}
    assert 133 < facts["size_mm"][0] < 190
    assert 1000 < facts["brain_and_fluid_ml"] < 1900


def test_a_missing_neck_makes_the_field_of_view_shorter(tmp_path: Path) -> None:
    ct_alone = replace(SMALL, labels=labels(tmp_path / "cube.nii.gz", 6.0), contrasts=())
    whole = simulate_study(ct_alone, 0).images[CT]
    seen = set()
    for index in range(4):
        part = simulate_study(replace(ct_alone, partial=1.01), index)
        (missing,) = part.facts["missing"]
        seen.add(missing)
        image = part.images[CT]
        length = image.voxels.shape[2]
        assert length < whole.voxels.shape[2]
        top = image.geometry.affine[2, 3] + 6 * (length - 1)
        highest = whole.geometry.affine[2, 3] + 6 * (whole.voxels.shape[2] - 1)
        assert (top < highest - 6) == (missing == "vertex")
    assert seen == {"neck", "vertex"}


def test_thick_slices_are_on_a_grid_of_their_own(tmp_path: Path) -> None:
    config = StudyConfig(
        labels=labels(tmp_path / "cube.nii.gz"),
        spacing=2.0,
        size=(32, 32, 32),
        thick=1.01,
        partial=0,
        contrasts=("t1",),
    )
    thick = simulate_study(config, 0).images[Kind.parse("mri:t1")]
    assert thick.geometry.spacing[:2] == pytest.approx((2, 2))
    assert 2 < thick.geometry.spacing[2] <= 5


def test_random_contrast_has_no_name(tmp_path: Path) -> None:
    path = labels(tmp_path / "cube.nii.gz")
    made = simulate_study(replace(SMALL, labels=path, contrasts=("random",)), 0)
    assert [str(kind) for kind in made.images] == ["ct", "mri"]


def test_a_still_label_map_is_rendered_as_it_is(tmp_path: Path) -> None:
    path = labels(tmp_path / "cube.nii.gz")
    config = StudyConfig(
        labels=path, spacing=2.0, still=True, partial=0, noise_hu=0, contrasts=("t1",)
    )
    made = simulate_study(config, 0)
    hu = made.images[CT].voxels
    assert hu.shape == (30, 32, 34)
    assert (hu[8:22, 8:24, 10:24] < 60).all()
    assert hu[15, 4, 15] > 700
    assert hu[15, 15, 33] == -1000
    assert made.facts["volume_ml"]["grey_matter"] == pytest.approx(
        18 * 20 * 21 * 8 / 1000, abs=0.06
    )


def test_label_maps_are_taken_in_turn(tmp_path: Path) -> None:
    for name in ("a", "b"):
        labels(tmp_path / f"{name}.nii.gz")
    config = StudyConfig(labels=tmp_path, spacing=4.0, contrasts=())
    names = [simulate_study(config, index).facts["anatomy"] for index in range(3)]
    assert names == ["a", "b", "a"]


def test_a_longer_neck_leaves_the_middle_in_place() -> None:
    tissue = torch.randint(0, 9, (4, 5, 6), generator=torch.Generator().manual_seed(0))
    anatomy = Anatomy("a", tissue.to(torch.uint8), (1.0, 1.0, 2.0))
    longer = with_longer_neck(anatomy, 4.0).tissue
    assert longer.shape == (4, 5, 10)
    assert torch.equal(longer[:, :, 2:8], anatomy.tissue)
    assert torch.equal(longer[:, :, 0], anatomy.tissue[:, :, 0])
    assert not longer[:, :, 8:].any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"contrasts": ("t3",)}, "'t3' is not one of t1, t2, flair, pd, random"),
        ({"contrasts": ("t1", "t1")}, "named twice"),
        ({"spacing": 0.0}, "choose 0.3 to 10"),
        ({"size": (4, 96, 96)}, "8 to 1024"),
        ({"size": (1024, 1024, 1024)}, "too many voxels"),
        ({"noise_hu": -1.0}, "0 or more"),
    ],
)
def test_impossible_studies_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        StudyConfig(**settings)
