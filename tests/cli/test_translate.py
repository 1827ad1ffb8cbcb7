"""`medgen translate` translates what it is given, and ends with the code that says how it went."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medgen.cli import app, translate_run
from medgen.tasks.translate import TranslateConfig


@pytest.fixture
def mri(tmp_path: Path, volumes: SimpleNamespace) -> Path:
    return volumes.save(volumes.head("mri"), tmp_path / "in" / "jane-t1.nii.gz")


@pytest.fixture
def model(tiny_model: Path) -> list[str]:
    return ["--model", str(tiny_model), "--device", "cpu"]


@pytest.fixture
def several(tmp_path: Path, volumes: SimpleNamespace) -> Path:
    """A folder of three good images and a damaged one."""
    folder = tmp_path / "many"
    for name in ("a", "b", "sub/c"):
        volumes.save(volumes.head("mri"), folder / f"{name}.nii.gz")
    (folder / "bad.nii.gz").write_bytes(b"not an image")
    return folder


def run(*words: object) -> int:
    return app.main(["translate", *map(str, words)])


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def line_of(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr."""
    out, err = capsys.readouterr()
    assert not out
    [line] = err.splitlines()
    return line


def test_a_file_in_a_file_out(
    mri: Path, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(mri, "--to", "ct", "-o", tmp_path / "o", *model) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path}/o/jane-t1_ct.nii.gz\n"
    assert not err
    assert names(tmp_path / "o") == ["jane-t1_ct.json", "jane-t1_ct.nii.gz"]


@pytest.mark.parametrize("name", ["o", "o/chest.png", "o/chest.dcm"])
def test_a_ct_becomes_a_radiograph(tmp_path: Path, volumes: SimpleNamespace, name: str) -> None:
    ct = volumes.save(volumes.head("ct"), tmp_path / "ct.nii.gz")
    (tmp_path / "o").mkdir()
    words = ["--to", "xray", "--view", "lateral", "--seed", 5, "--record", tmp_path / "r.json"]
    assert run(ct, *words, "-o", tmp_path / name) == 0
    assert json.loads((tmp_path / "r.json").read_text())["seed"] == 5
    stem = Path(name).stem if "chest" in name else "ct_xray"
    ending = Path(name).suffix or ".png"
    assert set(names(tmp_path / "o")) == {f"{stem}.json", f"{stem}{ending}"}
    said = json.loads((tmp_path / "o" / f"{stem}.json").read_text())
    assert (said["Kind"], said["View"], said["Model"]["Name"]) == ("xray", "lateral", "projection")
    assert "Engine" not in said
    if ending == ".dcm":
        from pydicom import dcmread

        made = dcmread(tmp_path / name)
        assert (made.Modality, list(made.PatientOrientation)) == ("DX", ["P", "F"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "o.nii.gz"], "a radiograph is a .png, a .dcm, or a folder"),
        (["--preview", "p.png"], "a radiograph is its own picture"),
        (["--from", "ct", "--view", "oblique"], "oblique"),
    ],
)
def test_what_a_radiograph_cannot_be(
    tmp_path: Path,
    volumes: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ct = volumes.save(volumes.head("ct"), tmp_path / "in" / "ct.nii.gz")
    assert run(ct, "--to", "xray", *words) == 2
    assert message in capsys.readouterr().err
    assert names(tmp_path) == ["in/ct.nii.gz"]


def test_json_is_one_line_for_each_input(
    mri: Path, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--engine", "diffuse", "--steps", 2, "--samples", 2, "--preview", tmp_path / "p.png"]
    assert run(mri, "-o", tmp_path / "o", "--json", *words, *model) == 0
    said = json.loads(capsys.readouterr().out)
    assert Path(said["output"]).is_file()
    assert Path(said["sigma"]).name == "jane-t1_ct_sigma.nii.gz"
    assert Path(said["sidecar"]).is_file()
    assert Path(said["preview"]).is_file()
    assert (said["model"], said["device"], said["warnings"]) == ("tiny", "cpu", [])
    assert len(said["source_sha256"]) == len(said["model_sha256"]) == 64
    assert said["seconds"] > 0


def test_one_bad_item_does_not_stop_the_others(
    several: Path, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(several, "-o", tmp_path / "o", *model) == 3
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3
    assert "bad.nii.gz" in err
    assert "1 of 4 inputs failed; 3 are done" in err
    made = [name for name in names(tmp_path / "o") if name.endswith(".nii.gz")]
    assert made == ["a_ct.nii.gz", "b_ct.nii.gz", "sub/c_ct.nii.gz"]


def test_an_absent_input_does_not_stop_the_others(
    mri: Path, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "gone.nii", mri, "-o", tmp_path / "o", *model) == 3
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert "gone.nii: there is no such file or folder" in err
    assert "1 of 2 inputs failed; 1 are done" in err


def test_existing_results_are_skipped(
    several: Path, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (several / "bad.nii.gz").unlink()
    assert run(several / "a.nii.gz", "-o", tmp_path / "o", *model) == 0
    before = (tmp_path / "o" / "a_ct.nii.gz").stat().st_mtime_ns
    capsys.readouterr()
    assert run(several, "-o", tmp_path / "o", "--skip-existing", *model) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert (tmp_path / "o" / "a_ct.nii.gz").stat().st_mtime_ns == before
    assert run(several, "-o", tmp_path / "o", "--skip-existing", *model) == 0
    assert capsys.readouterr().out == ""


def test_a_result_without_the_picture_that_is_asked_for_is_made_again(
    mri: Path, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, picture = tmp_path / "o", tmp_path / "p.png"
    words = ["-o", out, "--skip-existing", "--preview", picture, *model]
    assert run(mri, "-o", out, *model) == 0
    assert run(mri, *words) == 0
    before = picture.stat().st_mtime_ns
    assert run(mri, *words) == 0
    assert picture.stat().st_mtime_ns == before
    picture.unlink()
    (out / "jane-t1_ct.json").write_text("{}")  # somebody else's
    assert run(mri, *words) == 7
    assert "jane-t1_ct.nii.gz: already exists" in capsys.readouterr().err
    assert not picture.exists()


def test_results_beside_their_sources_are_not_translated_again(
    several: Path, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (several / "bad.nii.gz").unlink()
    assert run(several, *model) == 0
    capsys.readouterr()
    assert run(several, "--skip-existing", *model) == 0
    assert capsys.readouterr().out == ""


def test_the_shards_together_are_everything(
    several: Path, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (several / "bad.nii.gz").unlink()
    made = []
    for number in (1, 2):
        assert run(several, "--shard", f"{number}/2", "-o", tmp_path / "o", *model) == 0
        made.append(capsys.readouterr().out.splitlines())
    assert len(made[0]) + len(made[1]) == len({*made[0], *made[1]}) == 3


def test_a_manifest_is_a_batch(
    several: Path, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"id": name, "patient": name, "mri:t1": f"{name}.nii.gz"} for name in ("a", "b")]
    manifest = several / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(manifest, "--to", "mri:t2", "-o", tmp_path / "o", *model) == 0
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == [
        "a_t2.nii.gz",
        "b_t2.nii.gz",
    ]


def test_the_record_names_no_patient(
    mri: Path, model: list[str], tmp_path: Path, volumes: SimpleNamespace
) -> None:
    other = volumes.save(volumes.head("mri"), tmp_path / "in" / "jane-t2.nii.gz")
    words = ["--with", other, "--record", tmp_path / "r.json"]
    assert run(mri, "-o", tmp_path / "o", *words, *model) == 0
    text = (tmp_path / "r.json").read_text()
    assert "jane" not in text
    said = json.loads(text)
    assert said["exit_status"] == 0
    assert said["seed"] is None
    assert said["device"] == "cpu"
    assert said["model"]["name"] == "tiny"
    assert len(said["outputs"]) == 2
    assert [len(one["sha256"]) for one in said["inputs"]] == [64, 64]


def test_force_warns_and_the_record_keeps_it(
    tmp_path: Path, volumes: SimpleNamespace, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    small = volumes.save(volumes.head("mri"), tmp_path / "jane.nii.gz", np.eye(4))
    assert run(small, *model) == 4
    assert "use --force" in line_of(capsys)
    assert names(tmp_path) == ["jane.nii.gz"]
    for quiet in ([], ["-q"]):
        words = ["--force", "--overwrite", "--record", tmp_path / "r.json", *quiet]
        assert run(small, *words, *model) == 0
        err = capsys.readouterr().err
        assert ("warning" in err and "field of view" in err) != bool(quiet)
        [warning] = json.loads((tmp_path / "r.json").read_text())["warnings"]
        assert "field of view" in warning
        assert "jane" not in warning


def test_an_existing_output_is_7(
    mri: Path, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (mri.parent / "jane-t1_ct.nii.gz").write_bytes(b"mine")
    assert run(mri, *model) == 7
    assert "add --overwrite" in line_of(capsys)


@pytest.mark.parametrize("option", ["-o", "--preview", "--record"])
def test_no_input_is_replaced(
    mri: Path,
    model: list[str],
    volumes: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    option: str,
) -> None:
    """Not even a second one, under another name, when everything may be overwritten."""
    other = volumes.save(volumes.head("mri"), mri.parent / "t2.nii.gz")
    link = mri.parent / ("t2.png" if option == "--preview" else "link.nii.gz")
    link.symlink_to(other)
    before = other.read_bytes()
    words = ["--with", other, option, link, "--overwrite", *model]
    assert run(mri, "--from", "mri:t1", "--to", "ct", *words) == 2
    assert f"{link}: is one of the inputs" in line_of(capsys)
    assert other.read_bytes() == before
    assert names(mri.parent) == sorted([mri.name, other.name, link.name])


def test_the_record_is_not_a_result(
    mri: Path, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ct.nii.gz"
    before = names(tmp_path)
    assert run(mri, "-o", out, "--record", tmp_path / "ct.json", *model) == 2
    assert "ct.json: is one of the results; give it another name" in capsys.readouterr().err
    assert names(tmp_path) == before


def test_a_folder_that_cannot_be_written_is_7(
    mri: Path, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert run(mri, "-o", tmp_path / "file" / "x", *model) == 7
    assert "cannot be written" in line_of(capsys)


def test_ct_given_as_mri_and_the_reverse_are_4(
    mri: Path,
    model: list[str],
    tmp_path: Path,
    volumes: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ct = volumes.save(volumes.head("ct"), tmp_path / "scan.nii.gz")
    assert run(ct, "--from", "mri:t1", "-o", tmp_path / "o", *model) == 4
    assert "scan.nii.gz: is given as MRI but holds HU" in line_of(capsys)
    assert run(mri, "--from", "ct", "--to", "mri:t1", "-o", tmp_path / "o", *model) == 4
    assert "is given as CT but holds no HU" in line_of(capsys)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "text"], "cannot translate to 'text'; choose one of ct, mri:t1"),
        (["--to", "pet"], "'pet' is not one of"),
        (["--from", "ct"], "there is nothing to translate"),
        (["--samples", "2"], "needs --engine diffuse"),
        (["--device", "cuda:99"], "--device cuda:99"),
        (["--shard", "3/2"], "write I/N"),
        (["--set", "stpes=3"], "did you mean 'steps'"),
    ],
)
def test_what_cannot_be_asked_is_2(
    mri: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert run(mri, "--model", tiny_model, *words) == 2
    assert message in line_of(capsys)
    assert names(mri.parent) == ["jane-t1.nii.gz"]


def test_a_ct_to_ct_and_a_radiograph_are_2(
    tmp_path: Path, volumes: SimpleNamespace, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    ct = volumes.save(volumes.head("ct"), tmp_path / "scan.nii.gz")
    assert run(ct, *model) == 2
    assert "is ct already" in line_of(capsys)
    ramp = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "chest.png")
    assert run(tmp_path / "chest.png", *model) == 2
    assert "is a radiograph" in line_of(capsys)


def test_a_damaged_model_is_5(
    mri: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    copy = shutil.copytree(tiny_model, tmp_path / "m")
    weights = copy / "translator.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    assert run(mri, "--model", copy) == 5
    assert "damaged" in line_of(capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preview", "p.png"], "--preview draws one input"),
        (["--with", "x.nii"], "--with belongs to one input"),
        (["--frame", "0"], "--series and --frame belong to one input"),
        (["-o", "one.nii.gz"], "names one file for several results"),
    ],
)
def test_what_belongs_to_one_input_is_refused_for_several(
    several: Path,
    model: list[str],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    assert run(several, *words, *model) == 2
    assert message in line_of(capsys)


FLAGS = [
    (["--to", "mri:t2"], "to", "mri:t2"),
    (["--from", "mri"], "source", "mri"),
    (["--with", "a.nii", "--with", "b.nii"], "companions", ("a.nii", "b.nii")),
    (["--engine", "diffuse"], "engine", "diffuse"),
    (["--engine", "diffuse", "--steps", "3"], "steps", 3),
    (["--engine", "diffuse", "--samples", "5"], "samples", 5),
    (["--seed", "0"], "seed", 0),
    (["--seed", "9"], "seed", 9),
    (["--model", "base"], "model", "base"),
    (["--device", "auto"], "device", "auto"),
    (["--series", "1.2"], "series", "1.2"),
    (["--frame", "0"], "frame", 0),
    (["--force"], "force", True),
    (["--overwrite"], "overwrite", True),
    (["--keep-patient"], "keep_patient", True),
]


@pytest.mark.parametrize(("words", "field", "value"), FLAGS, ids=lambda x: str(x))
def test_every_flag_reaches_the_config_and_beats_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], field: str, value: object
) -> None:
    seen: list[TranslateConfig] = []
    monkeypatch.setattr(
        translate_run, "run_translate", lambda _, config, **__: seen.append(config) or []
    )
    other = 'seed = 7\nmodel = "other"\ndevice = "cpu"\nsteps = 99\nframe = 4\n'
    (tmp_path / "c.toml").write_text(other)
    assert run("x.nii", "--config", tmp_path / "c.toml", *words) == 0
    assert getattr(seen[0], field) == value


def test_without_flags_the_file_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[TranslateConfig] = []
    monkeypatch.setattr(
        translate_run, "run_translate", lambda _, config, **__: seen.append(config) or []
    )
    (tmp_path / "c.toml").write_text('seed = 7\nmodel = "other"\nforce = true\n')
    assert run("x.nii", "--config", tmp_path / "c.toml") == 0
    assert (seen[0].seed, seen[0].model, seen[0].force) == (7, "other", True)


def test_no_input_of_a_batch_is_replaced_by_the_result_of_another(
    volumes: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "b"
    volumes.save(volumes.head("ct"), folder / "p1.nii.gz")
    real = folder / "p1_xray.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(real)
    before = real.read_bytes()
    assert run(folder, "--to", "xray", "--overwrite") == 2
    assert "p1_xray.png: is one of the inputs" in line_of(capsys)
    assert real.read_bytes() == before


def test_a_patient_is_kept_in_dicom_only(
    volumes: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ct = volumes.save(volumes.head("ct"), tmp_path / "ct.nii.gz")
    words = ["--to", "xray", "--keep-patient", "-o", tmp_path / "x.png"]
    assert run(ct, *words) == 2
    assert "x.png: holds no patient" in line_of(capsys)


def test_steps_are_of_engines_that_take_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("x.nii", "--steps", 4) == 2
    assert "--steps is for --engine diffuse or flow" in capsys.readouterr().err


def test_the_other_flags_reach_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def look(inputs: list[Path], config: TranslateConfig, **others: Any) -> list[Any]:
        seen.update(others, inputs=inputs)
        return []

    monkeypatch.setattr(translate_run, "run_translate", look)
    words = "-o o --preview p.png --jobs 3 --shard 1/2 --skip-existing --record r.json"
    assert run("x.nii", "y.nii", *words.split()) == 0
    assert seen == {
        "inputs": [Path("x.nii"), Path("y.nii")],
        "out": Path("o"),
        "preview": Path("p.png"),
        "jobs": 3,
        "shard": "1/2",
        "skip_existing": True,
        "record": Path("r.json"),
    }
