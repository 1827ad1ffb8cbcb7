"""One volume lands on the same millimetres through DICOM and through NIfTI, whoever reads it."""

import locale
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from medgen.io import dicom, nifti
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.modality import Kind

MADE = Provenance("phantom", "head", seed=0)
SHAPE = (9, 8, 7)
SPACING = np.array([0.7, 1.1, 4.0])
HU = np.random.default_rng(0).integers(-1000, 2000, SHAPE).astype(np.int16)
CORNERS = np.array(np.meshgrid(*[(0, n - 1) for n in SHAPE], indexing="ij")).reshape(3, -1).T
GRIDS = {
    "axial": np.diag([-1.0, -1.0, 1.0]),
    "sagittal": np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]),
    "coronal": np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]]),
    "left-handed": np.diag([1.0, -1.0, 1.0]),
    "oblique": np.array(SimpleITK.Euler3DTransform((0, 0, 0), 0.2, -0.4, 0.1).GetMatrix()).reshape(
        3, 3
    ),
}


@pytest.fixture
def same_locale() -> Iterator[None]:
    """The process's locale as it was: SimpleITK's writer of DICOM leaves it at C."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


def image_on(grid: str, kind: str = "ct") -> MedicalImage:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = GRIDS[grid] * SPACING, (-91.3, 126.7, -72.1)
    return MedicalImage(HU, Geometry(affine), Kind.parse(kind))


def check_same_places(one: MedicalImage, other: MedicalImage) -> None:
    """Every voxel of one lies, to a thousandth of a millimetre, on an equal voxel of the other."""
    index = np.indices(one.voxels.shape).reshape(3, -1)
    millimetres = one.geometry.affine @ np.vstack([index, np.ones(index.shape[1])])
    found = np.linalg.solve(other.geometry.affine, millimetres)[:3]
    nearest = np.rint(found).astype(int)
    off = other.geometry.affine[:3, :3] @ (found - nearest)
    assert np.abs(off).max() < 1e-3
    assert other.voxels.size == one.voxels.size
    assert np.array_equal(other.voxels[tuple(nearest)], one.voxels[tuple(index)])


@pytest.mark.parametrize("grid", GRIDS)
def test_both_ways_lead_to_the_same_place(tmp_path: Path, grid: str) -> None:
    image = image_on(grid)
    by_nifti = nifti.read(nifti.write(image, tmp_path / "ct.nii", provenance=MADE))
    by_dicom = dicom.read(dicom.write(image, tmp_path / "ct", provenance=MADE))
    back = nifti.read(nifti.write(by_dicom, tmp_path / "back.nii.gz", provenance=MADE))
    for found in (by_nifti, by_dicom, back):
        check_same_places(image, found)


@pytest.mark.parametrize("kind", ["ct", "mri:t1"])
@pytest.mark.parametrize("grid", GRIDS)
def test_simpleitk_sees_what_medgen_wrote(tmp_path: Path, grid: str, kind: str) -> None:
    folder = dicom.write(image_on(grid, kind), tmp_path / "out", provenance=MADE)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    theirs, ours = reader.Execute(), dicom.read(folder)
    assert theirs.GetSize() == ours.voxels.shape
    assert np.array_equal(SimpleITK.GetArrayFromImage(theirs).T, ours.voxels)
    for corner in CORNERS:
        where = ours.geometry.affine_lps @ [*corner, 1]
        point = theirs.TransformIndexToPhysicalPoint(corner.tolist())
        assert np.allclose(point, where[:3], atol=1e-3)


@pytest.mark.tools
@pytest.mark.parametrize("kind", ["ct", "mri:t1"])
@pytest.mark.parametrize("grid", GRIDS)
def test_dcm2niix_sees_what_medgen_wrote(
    tmp_path: Path, tool: Callable[[str], str], grid: str, kind: str
) -> None:
    image = image_on(grid, kind)
    folder = dicom.write(image, tmp_path / "dcm", provenance=MADE)
    command = [tool("dcm2niix"), "-z", "n", "-f", "out", "-o", str(tmp_path), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    check_same_places(image, nifti.read(tmp_path / "out.nii"))


@pytest.mark.usefixtures("same_locale")
def test_medgen_sees_what_simpleitk_wrote(tmp_path: Path) -> None:
    """SimpleITK's single slices: written by GDCM, placed by its own affine."""
    volume = SimpleITK.GetImageFromArray(HU.T)
    direction = GRIDS["oblique"]
    volume.SetSpacing(SPACING.tolist())
    volume.SetDirection(direction.ravel().tolist())
    volume.SetOrigin((5.0, -6.0, 7.0))
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    tags = {
        "0008|0060": "CT",
        "0020|000d": "1.2.3.1",
        "0020|000e": "1.2.3.2",
        "0020|0037": "\\".join(map(str, direction[:, :2].T.ravel())),
        "0018|0050": str(SPACING[2]),
    }
    for k in range(SHAPE[2]):
        plane = volume[:, :, k]
        place = volume.TransformIndexToPhysicalPoint((0, 0, k))
        own = {"0020|0032": "\\".join(map(str, place)), "0008|0018": f"1.2.3.3.{k}"}
        for tag, value in {**tags, **own}.items():
            plane.SetMetaData(tag, value)
        writer.SetFileName(str(tmp_path / f"{99 - k}.dcm"))
        writer.Execute(plane)
    ours = dicom.read(tmp_path)
    assert np.array_equal(ours.voxels, HU)
    for corner in CORNERS:
        where = ours.geometry.affine_lps @ [*corner, 1]
        assert np.allclose(
            volume.TransformIndexToPhysicalPoint(corner.tolist()), where[:3], atol=1e-3
        )
