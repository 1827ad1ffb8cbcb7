"""`medgen train` prints the model it made, and ends with the code that says how it went."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from medgen.cli import app, train_run
from medgen.errors import UsageError
from medgen.record import sha256_of
from medgen.tasks import rehearsal
from medgen.tasks.fitting.fit import Progress
from medgen.tasks.train import TrainConfig

SMALL = ["translator.widths=[8, 8]", "examples.patch=16", "fit.batch=1", "fit.warmup=0"]
TINY = [word for setting in SMALL for word in ("--set", setting)]


@pytest.fixture
def labels(tmp_path: Path, volumes: SimpleNamespace) -> Path:
    hu = volumes.head("ct")
    table = np.select([hu > 500, hu > 28, hu > -500], [515, 3, 511], 0).astype(np.int16)
    return volumes.save(table, tmp_path / "labels" / "head.nii.gz")


def run(*words: object) -> int:
    return app.main(["train", *map(str, words)])


def test_the_model_is_printed_and_translates(
    labels: Path, tmp_path: Path, volumes: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    out, record = tmp_path / "run", tmp_path / "r.json"
    words = ["--labels", labels, "-o", out, "--steps", 2, "--device", "cpu", *TINY]
    assert run(*words, "--record", record) == 0
    printed, err = capsys.readouterr()
    assert printed == f"{out}/model\n"
    assert not err
    noted = json.loads(record.read_text())
    assert noted["outputs"][0]["name"] == "model"
    assert [one["sha256"] for one in noted["inputs"]] == [sha256_of(labels)]
    assert str(labels.parent) not in record.read_text()
    mri = volumes.save(volumes.head("mri"), tmp_path / "t1.nii.gz")
    assert app.main(["translate", str(mri), "--model", f"{out}/model", "--device", "cpu"]) == 0
    assert run(*words, "--resume", "--json") == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert json.loads(last)["model"] == f"{out}/model"
    assert run(*words) == 2
    assert "already holds a run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--freeze", "network.dwon"], "--freeze network.dwon: no such part"),
        (["--round", "text"], "--round text: is not one of translator"),
        (["--register", "affine"], "--register affine"),
        (["--set", "fit.stpes=3"], "did you mean 'steps'"),
        (["--card", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["--preset", "huge"], "--preset huge: this round has base"),
        (["--size", "0"], "--size 0: choose 0.1 to 20"),
        (["--round", "codec:xray"], "--labels is not for --round codec:xray"),
    ],
)
def test_what_cannot_be_asked_is_2(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert run("--labels", labels, "-o", tmp_path / "run", *TINY, *words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_without_enough_memory_it_says_what_helps(
    labels: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("medgen.tasks.train.fit", fails)
    assert run("--labels", labels, "-o", tmp_path / "run", *TINY) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "out of memory; lower --set fit.batch, now 1 items a step, or the widths with" in line


def test_labels_that_are_not_there_are_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--labels", tmp_path / "gone.nii", "-o", tmp_path / "run", *TINY) == 4
    assert "gone.nii: no such file" in capsys.readouterr().err


def test_an_init_that_is_not_there_is_5(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--labels", labels, "--init", "gone", "-o", tmp_path / "run", *TINY) == 5
    assert "no such model folder" in capsys.readouterr().err


FLAGS = [
    (["--labels", "a"], "labels", "a"),
    (["--labels", "a", "--hold-out", "x,y"], "hold_out", ("x", "y")),
    (["--init", "base"], "init", "base"),
    (["--freeze", "a", "--freeze", "b"], "freeze", ("a", "b")),
    (["--register", "rigid"], "register", "rigid"),
    (["--allow-outside"], "allow_outside", True),
    (["--card", "c.toml"], "card", "c.toml"),
    (["--steps", "5"], "fit.steps", 5),
    (["--minutes", "2.5"], "fit.minutes", 2.5),
    (["--seed", "0"], "fit.seed", 0),
    (["--device", "auto"], "fit.device", "auto"),
    (["--set", "examples.real=0.5"], "examples.real", 0.5),
]


@pytest.mark.parametrize(("words", "field", "value"), FLAGS, ids=str)
def test_every_flag_reaches_the_config_and_beats_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], field: str, value: object
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        train_run,
        "run_training",
        lambda _, config, *__, **___: seen.append(config) or {"model": ""},
    )
    (tmp_path / "c.toml").write_text('[fit]\nseed = 7\ndevice = "cpu"\nsteps = 9\nbatch = 3\n')
    assert run("--config", tmp_path / "c.toml", *words) == 0
    [found] = seen
    assert found.fit.batch == 3
    for name in field.split("."):
        found = getattr(found, name)
    assert found == value


def test_the_other_flags_reach_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def look(
        verb: str, config: TrainConfig, steps: Any, out: Path, **others: Any
    ) -> dict[str, str]:
        assert verb == "train"
        seen.update(others, out=out, device=config.fit.device)
        return {"model": "m"}

    monkeypatch.setattr(train_run, "run_training", look)
    assert run("m.jsonl", "-o", "o", "--resume", "--record", "r.json") == 0
    assert seen == {
        "manifest": Path("m.jsonl"),
        "out": Path("o"),
        "resume": True,
        "record": Path("r.json"),
        "labels": None,
        "device": "auto",
    }


def test_a_round_that_needs_studies_asks_for_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--round", "flow:xray") == 2
    assert "--round flow:xray learns from studies; name their manifest" in capsys.readouterr().err


def test_a_dry_run_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    words = ["--round", "codec:xray", "--preset", "tiny", "--dry-run", "-o", out]
    assert run(*words) == 0
    assert "parameters" in capsys.readouterr().out
    assert run(*words, "--json", "--steps", 7) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["steps"] == 7
    assert run(*words, "--json", "--freeze", "network.encoder") == 0
    assert json.loads(capsys.readouterr().out)["parameters"] < plan["parameters"]
    assert run(*words, "--freeze", "encoder") == 2
    assert "--freeze encoder: no such part; parts: " in capsys.readouterr().err
    assert run(*words, "--record", tmp_path / "r.json") == 2
    assert "--record is of a run" in capsys.readouterr().err
    assert not out.exists()


def test_a_dry_run_reads_the_manifest_before_it_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.jsonl").write_text("{")
    monkeypatch.setattr(rehearsal, "_timed", lambda config: pytest.fail("measured"))
    words = ["--round", "codec:xray", "--preset", "tiny", "--dry-run"]
    assert run(tmp_path / "m.jsonl", *words) == 4


@pytest.mark.parametrize("rank", ["0", "1"])
def test_of_several_processes_the_first_records_and_none_replaces_a_study(
    rank: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", rank)
    (tmp_path / "DOE_JANE.png").write_bytes(b"an image")
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text('{"id": "JANE_DOE", "patient": "p", "xray": "DOE_JANE.png"}\n')

    def steps() -> Iterator[Progress]:
        logging.getLogger("medgen.tasks").warning("JANE_DOE: left out: %s/DOE_JANE.png", tmp_path)
        (tmp_path / "run" / "model").mkdir(parents=True)
        yield Progress(1, 1, {"total": 0.5}, 1.0, 0.0, 1.0)

    def trained(record: str) -> dict[str, Any]:
        given = {"manifest": manifest, "resume": True, "record": tmp_path / record}
        return train_run.run_training("train", TrainConfig(), steps(), tmp_path / "run", **given)

    if rank == "0":
        for name in ("DOE_JANE.png", "run/model"):
            with pytest.raises(UsageError, match=r"choose another name|give it another name"):
                trained(name)
    result = trained("r.json")
    assert (tmp_path / "DOE_JANE.png").read_bytes() == b"an image"
    assert bool(result) is (tmp_path / "r.json").exists() is (rank == "0")
    if result:
        text = (tmp_path / "r.json").read_text()
        assert "left out" in text
        assert "JANE" not in text
