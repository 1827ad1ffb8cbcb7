"""`medgen evaluate` prints a table for people or one JSON document, or says why it cannot judge."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medgen.cli import app


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """Two studies, 10 and 20 HU too high."""
    for name, error in (("p1", 10), ("p2", 20)):
        hu = np.full((12, 12, 12), -1000, np.int16)
        hu[3:9, 3:9, 3:9] = np.random.default_rng(0).integers(0, 60, (6, 6, 6))
        for folder, voxels in (("pred", hu + np.int16(error)), ("truth", hu)):
            (tmp_path / folder).mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / folder / f"{name}.nii.gz")
    return str(tmp_path / "pred"), str(tmp_path / "truth")


def test_json_is_one_document(folders: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["evaluate", *folders, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["summary"]["mae"]["mean"] == 15.0
    assert not err


def test_people_get_a_table(folders: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["evaluate", *folders, "--protocol", "synthrad"]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    assert ["p1", "10.0"] in [row[:2] for row in cells]
    assert ["mean of 2", "15.0"] in [row[:2] for row in cells]
    assert ["95 % interval", "10.0 to 20.0"] in [row[:2] for row in cells]
    assert any("MS-SSIM" in line for line in lines)
    assert any("largest component" in line for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_what_has_no_prediction_is_said(
    folders: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    one = str(Path(folders[0]) / "p1.nii.gz")
    assert app.main(["evaluate", one, folders[1], "--json"]) == 0
    assert "1 images of" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "code"), [(["gone", "gone"], 4), (["gone"], 2)])
def test_bad_input_ends_with_its_code(
    words: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["evaluate", *words]) == code
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.nii"], "medgen evaluate PRED TRUTH"),
        (["a.nii", "b.nii", "--model", "base"], "--protocol retrieval"),
        (["a.nii", "b.nii", "--gallery", "50"], "--gallery is for --protocol retrieval"),
        (["a.txt", "b.txt", "--protocol", "report", "--device", "cpu"], "--device is for"),
        (["m.jsonl", "--protocol", "retrieval"], "--model"),
        (["m.jsonl", "t.jsonl", "--protocol", "retrieval", "--model", "x"], "one manifest"),
    ],
)
def test_each_protocol_has_its_own_arguments(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert app.main(["evaluate", *words]) == 2
    assert said in capsys.readouterr().err
