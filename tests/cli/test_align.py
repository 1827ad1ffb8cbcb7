"""`medgen align` makes encoders from a manifest, or says in a line why not."""

import json
from pathlib import Path

import numpy as np
import pytest

from medgen.cli import app

SIZES = ["--set", "fit.batch=2", "--set", "standard.side=32", "--set", "standard.shape=[8, 8, 8]"]


@pytest.mark.slow
def test_encoders_come_of_made_up_chests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chests = tmp_path / "chests"
    made = ["phantom", "--anatomy", "thorax", "-n", "3", "--spacing", "6", "-o", str(chests)]
    assert app.main(made) == 0
    capsys.readouterr()
    run = ["align", str(chests / "manifest.jsonl"), "--steps", "2", "--json", *SIZES]
    assert app.main([*run, "-o", str(tmp_path / "run")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (Path(result["model"]) / "model.json").is_file()
    assert set(result["loss"]) == {"total", "invariant", "text-xray", "text-ct", "text-mri"}
    out = tmp_path / "embeddings.npz"
    export = ["align", str(chests / "manifest.jsonl"), "--init", result["model"]]
    assert app.main([*export, "--export", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"embeddings": str(out), "studies": 3}
    found = np.load(out)  # without pickle
    assert found["id"].tolist() == ["study-0001", "study-0002", "study-0003"]
    for name in ("text", "xray", "ct"):
        assert np.linalg.norm(found[name], axis=1) == pytest.approx([1] * 3, abs=1e-5)
    assert np.isnan(found["mri"]).all()
    assert app.main([*export, "--export", str(out)]) == 7  # it is there
    capsys.readouterr()
    alone = chests / "alone.jsonl"  # a study needs no other modality to be embedded
    alone.write_text('{"id": "a", "patient": "p", "xray": "study-0001/xray.png"}\n')
    one = ["align", str(alone), "--init", result["model"], "--export", str(tmp_path / "one.npz")]
    assert app.main(one) == 0
    again = np.load(tmp_path / "one.npz")
    np.testing.assert_allclose(again["xray"], found["xray"][:1], atol=1e-5)
    assert np.isnan(again["text"]).all()


@pytest.mark.parametrize(
    ("content", "options", "code", "word"),
    [
        ('{"id": "a", "patient": "p", "text": "missing.txt"}', [], 4, "missing.txt"),
        ('{"id": "a", "text": "missing.txt"}', ["--set", "fit.device=cuda:99"], 2, "cuda:99"),
        ("", [], 4, "has no studies"),
        ("", ["--pairs", "some"], 2, "pairs"),
        ("", ["--max-bad", "3"], 2, "max-bad"),
        ("", ["--set", "fit.batch=1"], 2, "batch of one"),
        ("", ["--init", "nothing-there"], 5, "no such model"),
        ("", ["--export", "e.npz"], 2, "--init"),
        ("", ["--export", "e.npz", "--init", "m", "--steps", "2"], 2, "leave --steps out"),
        ("", ["--export", "e.npz", "--init", "m", "--set", "fit.batch=x"], 2, "leave --set out"),
        ("", ["--export", "e.npz", "--init", "m", "--out", "o"], 2, "leave --out out"),
        ("", ["--export", "e.npz", "--init", "m", "--record", "r.json"], 2, "leave --record out"),
        ("", ["--export", "e.txt", "--init", "m"], 2, ".npz"),
        ("", ["--export", "e.npz", "--init", "m"], 5, "no such model"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    options: list[str],
    code: int,
    word: str,
) -> None:
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(content + "\n")
    run = [] if "--export" in options else ["-o", str(tmp_path / "run")]
    assert app.main(["align", str(manifest), *run, *options]) == code
    said = capsys.readouterr().err
    assert word in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "run").exists()
