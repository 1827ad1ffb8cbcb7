"""`medgen models` tells what a model is, and never vouches for a damaged one."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from medgen import checkpoint
from medgen.checkpoint import Card, DataUse, TrainingRange, read_card, save_model
from medgen.cli.app import main

CARD = Card(
    name="tiny",
    version="1.2",
    task="translate",
    summary="MRI to CT.",
    licence="Apache-2.0",
    training_range=TrainingRange((0.5, 5.0), (96.0, 300.0), anatomy=("head",)),
    data=(DataUse("pairs", "CC-BY-3.0", "Vallières et al."),),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import torch

    card = replace(CARD, extra={"steps-net": 70})
    save_model(tmp_path / "tiny", card, {"net": {"a": torch.ones(10)}})
    monkeypatch.setattr(checkpoint, "WEIGHTS", tmp_path)
    return tmp_path / "tiny"


def test_the_list_tells_licence_use_and_size(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("tiny 1.2  translate  0.0 MB\n")
    assert "Intended use: Research. Not for clinical use." in out
    assert "Licence: Apache-2.0" in out


def test_the_list_is_one_json_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert row["name"] == "tiny"
    assert row["bytes"] == sum(file.stat().st_size for file in folder.iterdir())
    assert row["digest"] == read_card(folder).digest
    assert row["directions"] == []


def test_the_list_tells_what_is_made_of_what(
    tiny_model: Path, world: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", str(tiny_model)]) == 0
    assert "translate: ct to xray, ct to mri, mri to xray, mri to ct, mri to mri\n" in (
        capsys.readouterr().out
    )
    assert main(["models", "show", str(world.model)]) == 0
    out = capsys.readouterr().out
    assert "generate --text: text to xray, text to ct, text to mri\n" in out
    assert "translate --engine flow: ct to mri, mri to ct\n" in out


@pytest.mark.parametrize("by", ["name", "folder"])
def test_one_model_is_shown_whole(
    by: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", "tiny" if by == "name" else str(folder)]) == 0
    out = capsys.readouterr().out
    assert "Part net: 10 parameters in net.safetensors, trained for 70 steps" in out
    assert "Trained on: head; spacing 0.5-5 mm, 96-300 mm" in out
    assert "Data: pairs (CC-BY-3.0). Vallières et al." in out
    assert main(["models", "show", "tiny", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"][0]["name"] == "pairs"


def test_a_damaged_model_is_exit_code_five(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "net.safetensors").write_bytes(b"")
    assert main(["models", "show", "tiny"]) == 5
    assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["show"], ["list", "tiny"], ["sing"]])
def test_words_that_make_no_sense_are_usage_errors(words: list[str]) -> None:
    assert main(["models", *words]) == 2


def test_no_models_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checkpoint, "WEIGHTS", tmp_path)
    assert main(["models"]) == 0
    assert "no models" in capsys.readouterr().out
