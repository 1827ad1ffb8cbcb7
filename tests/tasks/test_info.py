"""Info tells what is in a file and what is wrong with a manifest, and never whose it is."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medgen.data.register import Shift
from medgen.errors import InputError
from medgen.tasks.info import PairShift, info

AFFINE = np.array([[-2.0, 0, 0, 10], [0, 3.0, 0, 20], [0, 0, 4.0, 30], [0, 0, 0, 1]])


def save(path: Path, voxels: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(voxels, AFFINE), path)
    return path


@pytest.fixture
def ramp(tmp_path: Path) -> Path:
    return save(tmp_path / "ramp.nii.gz", np.arange(1001, dtype=np.int16).reshape(7, 11, 13))


def test_the_facts_of_an_image_by_hand(ramp: Path) -> None:
    facts = info(ramp).image
    assert facts is not None
    assert (facts.format, facts.kind, facts.unit) == ("nifti", None, None)
    assert (facts.shape, facts.spacing_mm) == ((7, 11, 13), (2.0, 3.0, 4.0))
    assert (facts.orientation, facts.size_mm) == ("LAS", (14.0, 33.0, 52.0))
    assert facts.intensity == (0.0, 5.0, 500.0, 995.0, 1000.0)
    assert len(facts.sha256) == 64


def test_a_header_that_names_the_patient_is_not_repeated(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(8, dtype=np.int16).reshape(2, 2, 2), AFFINE)
    image.header["descrip"], image.header["db_name"] = b"DOE^JOHN", b"DOE"
    nib.save(image, tmp_path / "a.nii")
    assert "DOE" not in info(tmp_path / "a.nii").to_json()


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match=r"notes\.txt"):
        info(tmp_path / "notes.txt")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two good lines, one with a damaged MRI, and one that is wrong."""
    random = np.random.default_rng(0)
    for name in ("ct1", "mr1", "ct2", "mr2", "ct3"):
        save(tmp_path / f"{name}.nii", random.normal(0, 300, (8, 8, 8)).astype(np.float32))
    (tmp_path / "bad.nii").write_bytes(b"nothing")
    rows = [
        {"id": "s1", "patient": "p1", "ct": "ct1.nii", "mri:t1": "mr1.nii", "split": "train"},
        {"id": "s2", "patient": "p2", "ct": "ct2.nii", "mri:t2": "mr2.nii", "mri": "bad.nii"},
        {"id": "s3", "patient": "p2", "ct": "gone.nii"},
        {"id": "s4", "patient": "p2", "ct": "ct3.nii"},
    ]
    path = tmp_path / "manifest.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_a_manifest_is_counted_and_its_pairs_measured(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distances = iter([1.9, 2.1])

    def measured(fixed: object, moving: object) -> Shift:
        assert str(fixed.kind) == "ct"  # type: ignore[attr-defined]
        return Shift(next(distances), 0.5, np.eye(4))

    monkeypatch.setattr("medgen.data.register.measure_shift", measured)
    facts = info(manifest).manifest
    assert facts is not None
    assert (facts.studies, facts.patients) == (3, 2)
    assert facts.kinds == {"ct": 3, "mri:t1": 1, "mri": 1, "mri:t2": 1}
    assert facts.splits == {"train": 1, "none": 2}
    assert facts.shifts == (
        PairShift(1, "s1", "mri:t1", 1.9, 0.5, is_far=False),
        PairShift(2, "s2", "mri:t2", 2.1, 0.5, is_far=True),
    )
    assert [(p.line, p.field) for p in facts.problems] == [(2, "mri"), (3, "ct")]
    assert "bad.nii" in facts.problems[0].message


def test_a_folder_with_a_manifest_is_the_manifest(manifest: Path) -> None:
    found = info(manifest.parent, with_shifts=False)
    assert found.manifest == info(manifest, with_shifts=False).manifest
    assert found.manifest is not None
    assert found.manifest.shifts == ()
    assert json.loads(found.to_json())["manifest"]["problems"][0]["line"] == 3


def test_an_image_is_described_without_torch(ramp: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from medgen.tasks.info import info;"
        f"info(Path({str(ramp)!r})); sys.exit('torch' in sys.modules or 'SimpleITK' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
