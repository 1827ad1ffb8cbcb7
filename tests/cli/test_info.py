"""`medgen info` prints facts of images and all that is wrong with a manifest, line by line."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medgen.cli import app


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "scan.nii.gz"
    affine = np.diag([1.0, 1.0, 2.5, 1.0])
    nib.save(nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), affine), path)
    return str(path)


@pytest.fixture
def manifest(image: str) -> str:
    path = Path(image).parent / "manifest.jsonl"
    rows = [{"id": "s1", "patient": "p1", "ct": "scan.nii.gz"}, {"id": "s2", "ct": "gone.nii"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def test_an_image_in_words(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["info", image]) == 0
    out = capsys.readouterr().out
    assert "2 x 3 x 4 int16" in out
    assert "1 x 1 x 2.5 mm" in out
    assert "RAS" in out
    assert "0 to 23, median 11.5" in out


def test_one_json_document_or_one_a_line(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["info", image, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["image"]["shape"] == [2, 3, 4]
    assert app.main(["info", image, image, "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["image"]["orientation"] for line in lines] == ["RAS", "RAS"]


def test_problems_of_a_manifest_are_printed_and_end_with_4(
    manifest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["info", manifest]) == 4
    out, err = capsys.readouterr()
    assert "line 2: patient: is missing" in out
    assert "1 of 1 patients" in out
    assert not err


def test_shifts_are_measured_only_when_wanted(
    manifest: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"id": "s1", "patient": "p1", "ct": "scan.nii.gz", "mri": "scan.nii.gz"}
    Path(manifest).write_text(json.dumps(row))
    monkeypatch.setattr("medgen.data.register.measure_shift", None)
    assert app.main(["info", manifest, "--no-shifts"]) == 0
    assert "shift " not in capsys.readouterr().out


def test_one_bad_file_of_two_is_3_and_alone_is_4(
    image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["info", image, "gone.nii"]) == 3
    out, err = capsys.readouterr()
    assert "RAS" in out
    assert "gone.nii" in err
    assert app.main(["info", "gone.nii"]) == 4
    assert len(capsys.readouterr().err.splitlines()) == 1
