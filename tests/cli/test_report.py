"""`medgen report`: images in; a table, prose, maps and refusals out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import ComputedRadiographyImageStorage

from medgen.cli import app

Run = Callable[..., int]


@pytest.fixture
def run(corner_reports: SimpleNamespace) -> Run:
    more = ["--model", str(corner_reports.model), "--device", "cpu", "--force"]
    more += ["--operating-point", "0.4"]
    return lambda *words: app.main(["report", *map(str, words), *more])


@pytest.fixture
def corner(corner_reports: SimpleNamespace, tmp_path: Path) -> Path:
    return Path(shutil.copy(corner_reports.studies / "0.png", tmp_path / "corner.png"))


def test_the_text_is_printed_and_marked(
    run: Run, corner: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(corner, "--indication", "Cough.") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "INDICATION: Cough."
    assert lines[1].startswith("FINDINGS: Mass in the left upper lobe.")
    assert lines[-1].startswith("SYNTHETIC report by medgen")
    assert sorted(path.name for path in corner.parent.iterdir()) == ["corner.png"]


def test_every_sentence_traces_to_a_finding_and_to_a_map(
    run: Run, corner: Path, tmp_path: Path
) -> None:
    out, maps, record = tmp_path / "r.json", tmp_path / "maps", tmp_path / "record.json"
    assert run(corner, "-o", out, "--evidence", maps, "--record", record) == 0
    made = json.loads(out.read_text())
    table = {row["claim"]: row for row in made["Table"]}
    for sentence in made["Findings"] + made["Impression"]:
        assert [table[claim]["image"] for claim in sentence["claims"]] == [0]
    assert made["Synthetic"] is True
    assert not made["NothingFound"]
    with Image.open(maps / "corner_mass-left.png") as drawn, Image.open(corner) as image:
        assert drawn.size == image.size
    assert "corner" not in record.read_text()
    assert run(corner, "-o", out) == 7
    assert run(corner, "-o", out, "--skip-existing") == 0
    assert run(corner, "--prior", out, "-o", tmp_path / "next.txt") == 0
    assert "FINDINGS: Unchanged mass in the left" in (tmp_path / "next.txt").read_text()


def test_text_and_dicom_have_sidecars(run: Run, corner: Path, tmp_path: Path) -> None:
    for ending in ("txt", "dcm"):
        out = tmp_path / ending / f"r.{ending}"
        assert run(corner, "-o", out) == 0
        assert out.exists()
        assert json.loads(out.with_suffix(".json").read_text())["Task"] == "report"


def test_what_a_killed_report_has_left_is_replaced_and_nothing_else(
    run: Run, corner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.txt"
    assert run(corner, "-o", out) == 0
    out.unlink()
    assert run(corner, "-o", out) == 0
    out.unlink()
    out.with_suffix(".json").write_text('{"Synthetic": true, "Task": "translate"}')
    assert run(corner, "-o", out) == 7
    assert "r.json: already exists" in capsys.readouterr().err


def test_a_batch_in_shards_is_the_batch(
    run: Run, corner_reports: SimpleNamespace, tmp_path: Path
) -> None:
    record = tmp_path / "record.json"
    assert run(corner_reports.manifest, "-o", tmp_path / "whole", "--record", record) == 0
    noted = json.loads(record.read_text())
    assert len(noted["outputs"]) == 8
    assert len(noted["inputs"]) == 4
    for shard in ("1/2", "2/2"):
        assert run(corner_reports.manifest, "-o", tmp_path / "parts", "--shard", shard) == 0
    for k in range(4):
        whole, part = (tmp_path / name / f"s{k}.txt" for name in ("whole", "parts"))
        assert whole.read_text() == part.read_text()


def test_a_prior_is_compared_and_one_that_cannot_be_read_is_told(
    run: Run, corner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same, nothing = tmp_path / "same.txt", tmp_path / "none.txt"
    same.write_text("Mass in the left upper lobe.")
    nothing.write_text("Normal study.")
    for prior, word in ((same, "Unchanged"), (corner, "Unchanged"), (nothing, "New")):
        assert run(corner, "--prior", prior) == 0
        assert f"FINDINGS: {word} mass in the left upper lobe." in capsys.readouterr().out
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"\x00" * 200)
    assert run(corner, "--prior", broken) == 0
    printed, said = capsys.readouterr()
    assert "FINDINGS: Mass in the left upper lobe." in printed
    assert "the report compares with nothing" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--steps 4", "--steps is for --engine latent"),
        ("--engine latent --decoding beam", "--decoding is for --engine tokens"),
        ("--format json", "--format is of files"),
    ],
)
def test_what_would_do_nothing_is_refused(
    run: Run, corner: Path, capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    assert run(corner, *words.split()) == 2
    assert message in capsys.readouterr().err


def test_refusals(
    run: Run,
    corner: Path,
    tmp_path: Path,
    plain_dicom: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(*[corner] * 12) == 2
    assert "12 images: a report is of at most 8 of one study" in capsys.readouterr().err
    for name in ("r.pdf", "r.csv"):
        assert run(corner, "-o", tmp_path / name) == 2
        assert f"{name}: a report is written as .txt, .json, .dcm" in capsys.readouterr().err
    assert run(corner, "-o", tmp_path / "r.txt", "--format", "json") == 2
    assert "r.txt: is no .json" in capsys.readouterr().err
    assert not (tmp_path / "r.txt").exists()
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8)
    patients = []
    for name in ("A", "B"):
        made = plain_dicom.object(
            pixels, ComputedRadiographyImageStorage, "CR", PatientID=name, PixelSpacing=[1, 1]
        )
        patients.append(plain_dicom.save(made, tmp_path / f"{name}.dcm"))
    assert run(*patients) == 2
    assert "the images are of 2 patients" in capsys.readouterr().err
    assert run(patients[0], "--prior", patients[1]) == 2
    assert "the images are of 2 patients" in capsys.readouterr().err
    assert run(*patients, "--allow-mixed") == 0
    kept = tmp_path / "kept.dcm"
    assert run(patients[0], "--keep-patient", "-o", tmp_path / "kept.txt") == 2
    assert "--keep-patient is for a report in DICOM" in capsys.readouterr().err
    assert run(patients[0], "--keep-patient", "-o", kept) == 0
    made = dcmread(kept)
    assert made.PatientID == "A"
    assert made.VerificationFlag == "UNVERIFIED"


def test_an_image_unlike_those_of_training(
    corner_reports: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, columns = np.indices((64, 64))
    odd = tmp_path / "odd.png"
    Image.fromarray((255 * ((rows // 8 + columns // 8) % 2)).astype(np.uint8)).save(odd)
    words = ["report", str(odd), "--model", str(corner_reports.model), "--device", "cpu"]
    assert app.main(words) == 4
    assert "of it is unlike any xray of training; is it one?" in capsys.readouterr().err
    assert app.main([*words, "--force", "-q"]) == 0
    out, err = capsys.readouterr()
    assert not err
    assert "Warning: " in out  # whoever reads the report hears it, too
    assert "believe its findings less" in out
    assert app.main([*words, "--force"]) == 0
    assert "believe its findings less" in capsys.readouterr().err


def test_a_head_is_no_chest(capsys: pytest.CaptureFixture[str]) -> None:
    head = Path(__file__).parents[2] / "sample_data" / "head" / "ct.nii.gz"
    assert app.main(["report", str(head), "--device", "cpu"]) == 4
    assert "of it is unlike any ct of training; is it one?" in capsys.readouterr().err
