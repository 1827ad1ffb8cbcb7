"""In any of 48 orientations, tilted and anisotropic, a voxel stays at its millimetres."""

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from medgen.io import nifti
from medgen.io.geometry import LPS_TO_RAS, Geometry
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.modality import Kind

MADE = Provenance("translate", "base")
SHAPE = (5, 6, 7)
SPACING = (0.7, 1.1, 4.0)
ORIGIN = (-91.3, 126.7, -72.1)
VOXELS = np.arange(-1000, 1100, 10, dtype=np.int16).reshape(SHAPE)
CORNERS = [tuple(map(int, c)) for c in product(*((0, n - 1) for n in SHAPE))]
ORIENTATIONS = list(product(permutations(range(3)), product((1, -1), repeat=3)))
TILTS = {"straight": (0.0, 0.0, 0.0), "oblique": (0.21, -0.4, 0.13)}


def affine_of(order: tuple[int, ...], signs: tuple[int, ...], tilt: tuple[float, ...]):
    axes = np.eye(3)[:, order] * signs  # column j: the direction of voxel axis j
    turn = np.array(SimpleITK.Euler3DTransform((0, 0, 0), *tilt).GetMatrix()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn @ axes * SPACING, ORIGIN
    return affine


@pytest.mark.parametrize("tilt", TILTS)
@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_a_voxel_stays_where_it_is(
    tmp_path: Path, order: tuple[int, ...], signs: tuple[int, ...], tilt: str
) -> None:
    affine = affine_of(order, signs, TILTS[tilt])
    original = MedicalImage(VOXELS, Geometry(affine), Kind.parse("ct"))
    path = nifti.write(original, tmp_path / "ct.nii", provenance=MADE)
    again = nifti.read(path)
    assert np.abs(again.geometry.affine - affine).max() < 1e-5
    assert np.array_equal(again.voxels, VOXELS)

    witness = SimpleITK.ReadImage(path)
    for corner in CORNERS:
        lps = LPS_TO_RAS @ affine @ [*corner, 1]
        assert np.allclose(witness.TransformIndexToPhysicalPoint(corner), lps[:3], atol=1e-3)
        assert witness.GetPixel(corner) == VOXELS[corner]


@pytest.mark.parametrize("tilt", TILTS)
def test_what_others_write_lands_where_they_say(tmp_path: Path, tilt: str) -> None:
    for order, signs in ORIENTATIONS[::5]:
        lps = LPS_TO_RAS @ affine_of(order, signs, TILTS[tilt])
        theirs = SimpleITK.GetImageFromArray(VOXELS.transpose())
        theirs.SetSpacing(SPACING)
        theirs.SetOrigin(lps[:3, 3].tolist())
        theirs.SetDirection((lps[:3, :3] / SPACING).ravel().tolist())
        SimpleITK.WriteImage(theirs, tmp_path / "theirs.nii.gz")
        ours = nifti.read(tmp_path / "theirs.nii.gz")
        assert np.array_equal(ours.voxels, VOXELS)
        for corner in CORNERS:
            point = ours.geometry.affine_lps @ [*corner, 1]
            assert np.allclose(point[:3], theirs.TransformIndexToPhysicalPoint(corner), atol=1e-3)
