"""A label map means the same anatomy however its file stores the voxels."""

from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from medgen.errors import InputError
from medgen.phantom.anatomy import geometry_of, label_maps, read_anatomies, read_anatomy
from medgen.phantom.tissue import Tissue

RAS = np.zeros((6, 7, 8), np.int16)
RAS[1:5, 1:6, 1:7] = 2  # white matter
RAS[1, 1:6, 1:7] = 515  # cortical bone on the left
RAS[1:5, 1, 1:3] = 24  # fluid at the back, below
ORIENTATIONS = [
    "".join(pair[flip] for pair, flip in zip(axes, flips, strict=True))
    for axes in permutations(("RL", "AP", "SI"))
    for flips in product((0, 1), repeat=3)
]


def save(voxels: np.ndarray, path: Path, spacing: tuple[float, ...] = (1, 1.5, 2)) -> Path:
    nib.save(nib.Nifti1Image(voxels, np.diag([*spacing, 1.0])), path)
    return path


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_any_orientation_gives_the_same_map(tmp_path: Path, orientation: str) -> None:
    plain = read_anatomy(save(RAS, tmp_path / "ras.nii.gz"))
    image = nib.load(tmp_path / "ras.nii.gz")
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(orientation)
    )
    nib.save(image.as_reoriented(turn), tmp_path / "other.nii.gz")
    other = read_anatomy(tmp_path / "other.nii.gz")
    assert torch.equal(other.tissue, plain.tissue)
    assert other.spacing == pytest.approx((1, 1.5, 2))


def test_labels_become_tissues(tmp_path: Path) -> None:
    anatomy = read_anatomy(save(RAS, tmp_path / "head.nii.gz"))
    assert anatomy.name == "head"
    assert anatomy.tissue[1, 4, 4] == Tissue.CORTICAL_BONE
    assert anatomy.tissue[3, 4, 4] == Tissue.WHITE_MATTER
    assert anatomy.tissue[3, 1, 1] == Tissue.CSF
    assert anatomy.tissue[0, 0, 0] == Tissue.AIR


def test_loose_specks_become_air(tmp_path: Path) -> None:
    speck = np.zeros((12, 12, 12), np.int16)
    speck[2:8, 2:8, 2:8], speck[11, 11, 11] = 2, 2
    assert read_anatomy(save(speck, tmp_path / "speck.nii")).tissue[11, 11, 11] == 0


def test_two_legs_are_one_body(tmp_path: Path) -> None:
    legs = np.zeros((12, 12, 12), np.int16)
    legs[:5, 2:8], legs[7:, 2:7], legs[:2, 11] = 2, 2, 2
    tissue = read_anatomy(save(legs, tmp_path / "legs.nii")).tissue.numpy()
    assert ((tissue > 0) == (legs > 0))[:, :11].all()
    assert not tissue[:2, 11].any()


def test_an_unknown_label_is_refused_by_number(tmp_path: Path) -> None:
    wrong = RAS.copy()
    wrong[3, 3, 3] = 99
    with pytest.raises(InputError, match=r"head\.nii: labels \[99\] are not of the head table"):
        read_anatomy(save(wrong, tmp_path / "head.nii"))


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b", "a"):
        save(RAS, tmp_path / f"{name}.nii.gz")
    assert [anatomy.name for anatomy in read_anatomies(tmp_path)] == ["a", "b"]


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no \.nii"):
        label_maps(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        label_maps(tmp_path / "absent.nii.gz")


def test_the_middle_of_the_grid_is_the_origin() -> None:
    geometry = geometry_of((5, 8, 11), 2.0)
    assert geometry.orientation == "RAS"
    assert np.allclose(geometry.affine @ [2, 3.5, 5, 1], [0, 0, 0, 1])
