"""A folder of masks: each belongs to one of a study's pictures."""

from pathlib import Path

from medgen.data.masks import mask_files
from medgen.modality import View


def test_each_picture_has_its_own(tmp_path: Path) -> None:
    for name in ("mass.nii.gz", "mass.png", "mass.lateral.png", "nodule.lateral.png"):
        (tmp_path / name).touch()
    assert mask_files(tmp_path, axes=3) == {"mass": tmp_path / "mass.nii.gz"}
    assert mask_files(tmp_path, axes=2) == {"mass": tmp_path / "mass.png"}
    assert mask_files(tmp_path, axes=2, view=View.LATERAL) == {
        name: tmp_path / f"{name}.lateral.png" for name in ("mass", "nodule")
    }
