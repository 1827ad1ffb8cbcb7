"""`medgen info` prints facts of images and all that is wrong with a list, and makes manifests."""

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


def test_a_part_of_an_image_is_chosen_as_the_message_says(
    image: str, manifest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    many = Path(image).parent / "many.nii.gz"
    voxels = np.arange(48, dtype=np.int16).reshape(2, 2, 3, 4).transpose(1, 2, 3, 0)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), many)
    assert app.main(["info", str(many)]) == 2
    assert "choose one with --frame 0 to 1" in capsys.readouterr().err
    assert app.main(["info", str(many), "--frame", "1"]) == 0
    assert "24 to 47, median 35.5" in capsys.readouterr().out
    assert app.main(["info", str(many), str(many), "--frame", "1"]) == 2
    assert app.main(["info", manifest, "--frame", "1"]) == 2
    assert "--series and --frame are for images" in capsys.readouterr().err


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


@pytest.fixture
def table(image: str) -> str:
    """Three studies; the last has a file that is not there."""
    path = Path(image).parent / "list.csv"
    for name in ("a.nii", "b.nii"):
        (path.parent / name).touch()
    path.write_text("subject,image\np1,a.nii\np2,b.nii\np3,gone.nii\n")
    return str(path)


NAMES = ["--map", "subject=patient", "--map", "image=ct"]


def test_a_table_is_looked_at_as_a_manifest_is(
    table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["info", table]) == 4
    out = capsys.readouterr().out
    assert "line 1: subject: is not a known key" in out
    assert "line 1: image: is not a known key" in out
    assert app.main(["info", table, *NAMES]) == 4
    out, err = capsys.readouterr()
    assert "2 of 2 patients" in out
    assert "line 4: ct: no such file: 'gone.nii'" in out
    assert not err


def test_a_table_becomes_a_manifest_with_splits(
    table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(table).with_name("manifest.jsonl")
    words = ["info", table, *NAMES, "-o", str(out), "--shares", "100,0,0", "--seed", "3"]
    assert app.main(words) == 4
    assert capsys.readouterr() == (
        "",
        f"medgen: error: {table}: line 4: ct: no such file: 'gone.nii'\n",
    )
    assert not out.exists()
    (out.parent / "gone.nii").touch()
    assert app.main(words) == 0
    text, err = capsys.readouterr()
    assert f"{out}\n  studies      3 of 3 patients" in text
    assert "3 train" in text
    assert not err
    assert app.main(words) == 7
    assert app.main([*words, "--overwrite"]) == 0
    assert app.main(["info", str(out), "-o", str(out), "--shares", "80,10,10", "--overwrite"]) == 2
    assert "--replace-splits" in capsys.readouterr().err


def test_a_datalist_becomes_a_manifest(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(image).parent / "dataset.json"
    path.write_text(json.dumps({"training": [{"image": "scan.nii.gz", "label": "x"}]}))
    words = ["info", str(path), "--map", "image=mri:t1", "--map", "label=", "--json"]
    assert app.main([*words, "-o", str(path.parent)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["manifest"]["splits"] == {"train": 1}
    assert "warning" in err
    assert "names no patients" in err
    assert json.loads((path.parent / "manifest.jsonl").read_text()) == {
        "id": "study-0001",
        "patient": "study-0001",
        "mri:t1": "scan.nii.gz",
        "split": "train",
    }


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["list.csv", "--shares", "80,10,10"], "add -o"),
        (["list.csv", "--overwrite"], "add -o"),
        (["list.csv", "--seed", "1"], "add --shares"),
        (["list.csv", "-o", "m.jsonl", "--replace-splits"], "add --shares"),
        (["list.csv", "-o", "m.jsonl", "--shares", "80,20"], "three percentages"),
        (["list.csv", "list.csv", "-o", "m.jsonl"], "one FILE"),
        (["list.csv", "--map", "image=mr"], "'mr' is not one of"),
        (["list.csv", "--map", "imgae=ct"], "has no 'imgae'"),
        (["scan.nii.gz", "--map", "image=ct"], "--map is for"),
        (["manifest.jsonl", "--map", "image=ct"], "--map is for"),
        (["list.csv", "-o", "m.csv", *NAMES], "ends in .jsonl"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_contradicts_itself_ends_with_2(
    words: list[str],
    fault: str,
    table: str,
    manifest: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(Path(table).parent)
    assert app.main(["info", *words]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert fault in err
