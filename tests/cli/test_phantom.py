"""`medgen phantom` writes studies and prints where they are, or says in a line why not."""

import json
from pathlib import Path

import pytest

from medgen.cli import app

SMALL = ["--spacing", "8", "--contrasts", "t1", "--seed", "5"]
SIZE = ["--size", "16", "16", "16"]


def test_folders_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "studies")
    assert app.main(["phantom", "--anatomy", "head", "-n", "2", *SMALL, *SIZE, "-o", out]) == 0
    printed, said = capsys.readouterr()
    assert printed.split() == [f"{out}/study-0001", f"{out}/study-0002"]
    assert not said


def test_json_is_one_line_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["phantom", *SMALL, *SIZE, "-o", str(tmp_path / "s"), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["images"]["ct"].endswith("study-0001/ct.nii.gz")
    assert app.main(["info", str(tmp_path / "s" / "manifest.jsonl")]) == 0


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (["--contrasts", "t9"], 2, "t9"),
        (["--spacing", "0"], 2, "spacing"),
        (["--overwrite", "--skip-existing"], 2, "contradict"),
        (["--labels", "absent.nii.gz"], 4, "absent.nii.gz"),
        (["-n", "0"], 2, "-n"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    code: int,
    word: str,
) -> None:
    assert app.main(["phantom", "-o", str(tmp_path / "s"), *options]) == code
    said = capsys.readouterr().err
    assert word in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "s").exists()


def test_a_chest_has_a_radiograph_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "chests"
    options = ["--anatomy", "thorax", "--with", "text,xray", "--spacing", "2.5"]
    assert app.main(["phantom", *options, "-o", str(out)]) == 0
    names = sorted(path.name for path in (out / "study-0001").iterdir())
    assert names == ["findings.json", "report.txt", "xray.png"]
    row = json.loads((out / "manifest.jsonl").read_text())
    assert row["text"] == "study-0001/report.txt"
    capsys.readouterr()
    assert app.main(["info", str(out / "manifest.jsonl")]) == 0


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--anatomy", "thorax", "--contrasts", "t1"], "--contrasts is not for a thorax"),
        (["--anatomy", "head", "--with", "text,xray"], "xray is not for a head"),
        (["--anatomy", "head", "--with", "mri:t1"], "--contrasts"),
        (["--anatomy", "thorax", "--with", "text,smell"], "smell"),
        (["--anatomy", "thorax", "--with", "mri"], "not mri"),
        (["--anatomy", "thorax", "--with", "xray", "--held-out"], "--held-out is of reports"),
        (["--anatomy", "head", "--held-out"], "--held-out is of reports"),
    ],
)
def test_each_anatomy_has_its_own_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], word: str
) -> None:
    assert app.main(["phantom", *options, "-o", str(tmp_path / "s")]) == 2
    assert word in capsys.readouterr().err
