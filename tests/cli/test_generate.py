"""`medgen generate`: prompts in, radiographs and what was understood of the prompts out."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from medgen.cli import app

TEXT = "Mass in the left upper lobe."


@pytest.fixture
def words(corner_flows: SimpleNamespace) -> list[str]:
    return ["--model", str(corner_flows.model), "--device", "cpu", "--steps", "2"]


def run(*words: object) -> int:
    return app.main(["generate", *map(str, words)])


def test_images_are_printed_and_recorded(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out, record, sheet = tmp_path / "out", tmp_path / "r.json", tmp_path / "sheet.png"
    more = ["--text", TEXT, "-n", 3, "-o", out, "--record", record, "--preview", sheet]
    assert run(*more, *words) == 0
    printed, said = capsys.readouterr()
    assert printed.splitlines() == [f"{out}/xray-000{k}.png" for k in (1, 2, 3)]
    assert "lost of the prompt: never trained on: mass" in said
    with Image.open(out / "xray-0002.png") as image, Image.open(sheet) as drawn:
        assert image.size == (32, 32)
        assert drawn.size[0] >= 3 * 32
    noted = json.loads(record.read_text())
    assert [one["name"] for one in noted["outputs"]][:2] == ["xray-0001.png", "xray-0001.json"]
    assert run("--text", TEXT, "-n", 3, "-o", out, *words) == 7
    assert run("--text", TEXT, "-n", 3, "-o", out, "--skip-existing", *words) == 0
    assert capsys.readouterr().out == ""
    again = ["--text", TEXT, "-n", 3, "-o", out, "--skip-existing", "--preview", sheet, *words]
    before = sheet.read_bytes()
    assert run(*again) == 0
    sheet.unlink()
    assert run(*again) == 0  # drawn of the images that are there
    assert sheet.read_bytes() == before
    (out / "xray-0002.png").unlink()
    assert run(*again) == 7
    assert f"{sheet}: already exists" in capsys.readouterr().err
    sheet.unlink()
    assert run(*again) == 0
    with Image.open(sheet) as whole:
        assert whole.size == drawn.size  # all three, not the new one alone


def test_a_batch_in_shards_is_the_batch(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "p.jsonl"
    prompts.write_text("".join(json.dumps({"id": f"p{k}", "text": TEXT}) + "\n" for k in range(3)))
    assert run("--texts", prompts, "-o", tmp_path / "whole", "--json", *words) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["id"] for line in lines] == ["p0", "p1", "p2"]
    for shard in ("1/2", "2/2"):
        assert run("--texts", prompts, "-o", tmp_path / "parts", "--shard", shard, *words) == 0
    for k in range(3):
        name = f"p{k}-0001.png"
        whole, part = tmp_path / "whole" / name, tmp_path / "parts" / name
        with Image.open(whole) as one, Image.open(part) as other:
            assert one.tobytes() == other.tobytes()


def test_one_bad_prompt_of_a_batch_does_not_stop_it(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "p.jsonl"
    prompts.write_text(json.dumps({"text": ""}) + "\n" + json.dumps({"text": TEXT}) + "\n")
    assert run("--texts", prompts, "-o", tmp_path / "out", *words) == 3
    printed, said = capsys.readouterr()
    assert printed == f"{tmp_path}/out/prompt-0002-0001.png\n"
    assert "prompt-0001: the prompt is empty" in said
    assert "1 of 2 prompts failed" in said


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--text", ""], 2, "the prompt is empty; write --text"),
        (["--text", TEXT, "--strict"], 2, "--strict: part of the prompt would be lost"),
        (["--text", TEXT, "--texts", "p.jsonl"], 2, "give one of them"),
        (["--text", TEXT, "--modality", "ct"], 5, "cannot make ct; it makes xray"),
        (["--text", TEXT, "--modality", "text"], 2, "medgen report"),
        (["--text", TEXT, "--from", "gone.nii.gz"], 4, "gone.nii.gz"),
        (["--text", TEXT, "-o", "a.nii.gz"], 2, "xray is written as .png, .dcm"),
        (["--texts", "gone.jsonl"], 4, "gone.jsonl: cannot be read"),
        (["--text", TEXT, "--weight", "1"], 2, "1 weights for 0 images"),
    ],
)
def test_what_cannot_be_made(
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    code: int,
    message: str,
) -> None:
    assert run(*more, *words) == code
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["-o", "one.png"], 2, "names one file for 2 prompts"),
        (["--preview", "sheet.jpg"], 2, "is drawn as .png"),
        (["-o", "out", "--preview", "out/a-0001.png"], 2, "is one of the images"),
        (["--preview", "old.png"], 7, "old.png: already exists"),
        (["--model", "gone"], 5, "no such model folder"),
    ],
)
def test_names_are_looked_at_before_any_work(
    tmp_path: Path,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.jsonl").write_text("".join(json.dumps({"id": k, "text": TEXT}) + "\n" for k in "ab"))
    Path("old.png").write_bytes(b"old")
    assert run("--texts", "p.jsonl", *words, *more) == code
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not Path("out").exists()


def test_the_record_names_no_input(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "r.json"
    path = tmp_path / "JohnDoe.nii.gz"
    path.write_bytes(b"nothing")
    assert run("--text", TEXT, "--from", f"ct={path}", "--record", record, *words) == 4
    assert "JohnDoe" in capsys.readouterr().err
    assert "JohnDoe" not in record.read_text()


def test_a_damaged_model_is_5(
    corner_flows: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "model"
    shutil.copytree(corner_flows.model, broken)
    part = broken / "codec-xray.safetensors"
    part.write_bytes(part.read_bytes()[:-1] + b"!")
    assert run("--text", TEXT, "--model", broken, "-o", tmp_path / "out") == 5
    assert "codec-xray" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
