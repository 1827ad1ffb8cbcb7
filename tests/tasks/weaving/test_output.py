"""A woven scan is named as the kind of file that its source is, which its content says."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import ComputedRadiographyImageStorage as CRStorage

from medgen.errors import UsageError
from medgen.tasks.weaving.output import Outputs, copy_scan, woven_path


@pytest.mark.parametrize(
    ("content", "name", "woven"),
    [
        ("nifti", "scan.nii", "scan_woven.nii"),
        ("nifti", "scan", "scan_woven.nii.gz"),
        ("nifti", "scan.png", "scan_woven.nii.gz"),
        ("png", "scan.png", "scan_woven.png"),
        ("png", "scan.dcm", "scan_woven.png"),
        ("jpeg", "scan.jpg", "scan_woven.png"),
        ("nothing", "scan.nii.gz", "scan_woven.nii.gz"),
    ],
)
def test_the_ending_goes_by_the_content(
    volumes: SimpleNamespace, tmp_path: Path, content: str, name: str, woven: str
) -> None:
    if content == "nifti":
        volumes.save(volumes.head("mri"), tmp_path / "s.nii").rename(tmp_path / name)
    elif content != "nothing":
        Image.new("L", (8, 8)).save(tmp_path / name, format=content)
    assert woven_path(tmp_path / name, None) == tmp_path / woven


@pytest.mark.parametrize(
    ("content", "fitting", "others"),
    [
        ("dicom", ["o.dcm", "o"], ["o.png", "o.nii"]),
        ("nii", ["o.nii"], ["o.nii.gz", "o"]),
        ("nii.gz", ["o.nii.gz"], ["o.nii", "o.dcm"]),
        ("png", ["o.png"], ["o.dcm", "o.nii"]),
        ("jpeg", [], ["o.png", "o"]),
    ],
)
@pytest.mark.parametrize("name", ["IM0001", "scan.dcm", "scan.png"])
def test_a_scan_is_copied_under_names_of_what_it_holds(
    volumes: SimpleNamespace,
    plain_dicom: SimpleNamespace,
    tmp_path: Path,
    content: str,
    fitting: list[str],
    others: list[str],
    name: str,
) -> None:
    scan = tmp_path / name
    if content == "dicom":
        pixels = np.arange(16, dtype=np.uint16).reshape(4, 4)
        plain_dicom.save(plain_dicom.object(pixels, CRStorage, "CR"), scan)
    elif content.startswith("nii"):
        volumes.save(volumes.head("mri"), tmp_path / f"s.{content}").rename(scan)
    else:
        Image.new("L", (8, 8)).save(scan, format=content)
    for each in (tmp_path / "out" / other for other in fitting):
        copy_scan(scan, Outputs(each, tmp_path / "mask"), overwrite=False)
        assert each.read_bytes() == scan.read_bytes()
    remedy = f"ends in {fitting[0][1:]} with" if fitting else "draw one"
    for each in (tmp_path / "out" / other for other in others):
        with pytest.raises(UsageError, match=remedy):
            copy_scan(scan, Outputs(each, tmp_path / "mask"), overwrite=False)
        assert not each.exists()
