"""A woven scan is named as the kind of file that its source is, which its content says."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from medgen.tasks.weave_output import woven_path


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
