"""What a file is decides how it is read; what an output is called decides how it is written."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medgen.errors import InputError, UsageError
from medgen.io import files
from medgen.io.detector import flat_detector
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.modality import Kind

MADE = Provenance("translate", "base", seed=7)
HU = np.random.default_rng(0).integers(-1000, 1000, (4, 5, 6)).astype(np.int16)
VOLUME = MedicalImage(HU, Geometry(np.diag([-1.0, -1, 2, 1])), Kind.parse("ct"))
GREY = np.arange(30, dtype=np.uint8).reshape(5, 6)
FLAT = MedicalImage(GREY, flat_detector(), Kind.parse("xray"))


@pytest.mark.parametrize("name", ["a.nii", "a.v2.nii.gz"])
def test_a_volume_goes_out_and_in(tmp_path: Path, name: str) -> None:
    again = files.read(files.write(VOLUME, tmp_path / name, provenance=MADE))
    assert np.array_equal(again.voxels, HU)
    assert again.kind == VOLUME.kind
    assert again.source is not None
    assert again.source.format == "nifti"


def test_a_radiograph_goes_out_and_in(tmp_path: Path) -> None:
    again = files.read(files.write(FLAT, tmp_path / "a.png", provenance=MADE))
    assert np.array_equal(again.voxels, FLAT.voxels)
    assert again.kind == FLAT.kind


def test_a_dicom_series_goes_out_and_in(tmp_path: Path) -> None:
    again = files.read(files.write(VOLUME, tmp_path / "series", provenance=MADE))
    assert sorted(np.unique(again.voxels)) == sorted(np.unique(HU))
    assert again.kind == VOLUME.kind
    assert again.source is not None
    assert again.source.format == "dicom"


def test_the_suffix_plays_no_part_in_reading(tmp_path: Path) -> None:
    files.write(VOLUME, tmp_path / "a.nii.gz", provenance=MADE).rename(tmp_path / "a.dcm")
    files.write(FLAT, tmp_path / "a.png", provenance=MADE).rename(tmp_path / "a.nii")
    assert files.read(tmp_path / "a.dcm").voxels.ndim == 3
    assert files.read(tmp_path / "a.nii").voxels.ndim == 2


def test_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    volume = files.write(VOLUME, tmp_path / "a.nii", provenance=MADE)
    flat = files.write(FLAT, tmp_path / "a.png", provenance=MADE)
    with pytest.raises(UsageError, match="only DICOM has series"):
        files.read(volume, series="1.2.3")
    with pytest.raises(UsageError, match="has no frames"):
        files.read(flat, frame=0)
    with pytest.raises(InputError, match="resample it to fewer"):
        files.read(volume, max_voxels=100)
    with pytest.raises(InputError, match="resample it to fewer"):
        files.read(flat, max_voxels=10)


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    for where in (tmp_path / "empty", tmp_path / "full"):
        where.mkdir()
    files.write(VOLUME, tmp_path / "full" / "a.nii", provenance=MADE)
    for where in (tmp_path / "empty", tmp_path / "full"):
        with pytest.raises(InputError, match="holds no DICOM; name the image file itself"):
            files.read(where)


@pytest.mark.parametrize(("image", "name"), [(VOLUME, "a.png"), (FLAT, "a.nii"), (FLAT, "a.jpg")])
def test_formats_that_cannot_hold_the_image_are_refused(
    tmp_path: Path, image: MedicalImage, name: str
) -> None:
    with pytest.raises(UsageError, match=name):
        files.write(image, tmp_path / name, provenance=MADE)
    assert list(tmp_path.iterdir()) == []


def test_importing_it_loads_no_format_library() -> None:
    code = "import sys, medgen.io.files; print({'nibabel', 'pydicom', 'PIL'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == "set()"
