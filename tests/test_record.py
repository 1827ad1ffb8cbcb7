"""A record says what a run did, however it ended, and names no patient."""

import hashlib
import json
import logging
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from medgen.config import config_hash
from medgen.errors import InputError, OutputError, UsageError
from medgen.record import Record, recording, sha256_of
from medgen.tasks.translate import TranslateConfig

PATIENT = "DOE_JANE_1970"


@dataclass(frozen=True)
class Config:
    steps: int = 8
    out: str = f"/data/{PATIENT}/out"


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    folder = tmp_path / PATIENT
    folder.mkdir()
    path = folder / f"{PATIENT}_t1.nii.gz"
    path.write_bytes(b"voxels")
    return path


def run(path: Path, scan: Path, fault: BaseException | None = None) -> dict[str, object]:
    """A run that reads a scan, warns, writes a result and perhaps fails."""
    output = scan.with_name(f"{PATIENT}_t1_ct.nii.gz")
    output.write_bytes(b"ct")
    config = Config(out=str(scan.parent))
    expected = pytest.raises(type(fault)) if fault else nullcontext()
    with expected, recording(path, Record("translate", config, seed=7)) as record:
        record.add_input(scan)
        record.model = {"name": "base", "sha256": "0" * 64}
        with record.timed("write"):
            record.add_output(output)
        logging.getLogger("medgen.tasks").warning("%s: is unlike the training data", scan)
        if fault:
            raise fault
    return json.loads(path.read_text())


def test_a_record_holds_the_run(tmp_path: Path, scan: Path) -> None:
    record = run(tmp_path / "r.json", scan)
    assert record["verb"] == "translate"
    assert record["seed"] == 7
    assert record["exit_status"] == 0
    assert record["config_sha256"] == config_hash(Config(out=str(scan.parent)))
    assert record["inputs"] == [{"sha256": hashlib.sha256(b"voxels").hexdigest()}]
    [output] = record["outputs"]
    assert output["sha256"] == hashlib.sha256(b"ct").hexdigest()
    assert output["bytes"] == 2
    assert set(record["seconds"]) == {"write", "total"}
    assert len(record["warnings"]) == 1
    assert {"python", "torch", "numpy"} <= set(record["versions"])


def test_a_record_names_no_patient(tmp_path: Path, scan: Path) -> None:
    record = run(tmp_path / "r.json", scan, InputError(f"{scan}: truncated"))
    assert PATIENT not in json.dumps(record)
    digest = hashlib.sha256(b"voxels").hexdigest()[:12]
    assert record["error"] == f"InputError: {digest}: truncated"
    assert record["outputs"][0]["name"] == f"{digest}_ct.nii.gz"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("DOE_JANE.NII.GZ", "DOE_JANE_xray.png"),  # a result of it
        ("DOE:ANN.nii.gz", "DOE_ANN_xray.png"),
        ("series", "series/DOE_JOHN_005.dcm: is truncated"),  # a file of it
        (".", "MILLER_TOM_xray"),
    ],
)
def test_no_form_of_a_name_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, said: str
) -> None:
    here = tmp_path / "MILLER_TOM"
    (here / "series").mkdir(parents=True)
    (here / "series" / "DOE_JOHN_005.dcm").write_bytes(b"")
    monkeypatch.chdir(here)
    record = Record("translate")
    record.hide(Path(path))
    record.warnings.append(said)
    document = json.dumps(record.document(exit_status=0))
    assert not any(name in document for name in ("DOE", "JANE", "ANN", "JOHN", "MILLER"))


def test_a_record_may_lie_in_the_folder_that_is_read(tmp_path: Path) -> None:
    for _ in range(2):
        with recording(tmp_path / "r.json", Record("translate"), overwrite=True) as record:
            record.hide(tmp_path)
    assert json.loads((tmp_path / "r.json").read_text())["exit_status"] == 0


def test_names_of_nobody_do_not_blot_out_what_the_record_says(tmp_path: Path) -> None:
    """As a phantom's studies are called."""
    record = Record("report", TranslateConfig(to="xray"))
    record.hide(tmp_path / "study-0001" / "xray.png")
    record.hide(tmp_path / "study-0001" / "report.txt")
    record.outputs.append({"name": "ct_xray.png"})
    record.warnings.append(f"{tmp_path / 'study-0001' / 'report.txt'}: odd")
    document = record.document(exit_status=0)
    assert (document["verb"], document["config"]["to"]) == ("report", "xray")
    assert document["outputs"] == [{"name": "ct_xray.png"}]
    assert document["warnings"] == ["input: odd"]


def test_a_record_is_none_of_the_results(tmp_path: Path) -> None:
    path, record = tmp_path / "r.json", Record("x")
    with pytest.raises(UsageError, match="is one of the results"), recording(path, record):
        record.keep_apart([None, tmp_path / "a.png", path])
    assert not path.exists()


def test_a_folder_of_thousands_is_hidden_in_no_time(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"IM{number:05d}").write_bytes(b"")
    record = Record("translate")
    record.hide(tmp_path)
    record.warnings += [f"IM{number:05d} is odd" for number in range(100)]
    started = time.perf_counter()
    assert record.document(exit_status=0)["warnings"] == ["input is odd"] * 100
    assert time.perf_counter() - started < 5


def test_an_input_that_cannot_be_read_is_not_named_either(tmp_path: Path) -> None:
    path = tmp_path / f"{PATIENT}.nii"
    record = Record("translate")
    record.hide(path)
    document = record.document(exit_status=4, error=f"{path}: no such file")
    assert document["error"] == "input: no such file"


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (InputError("x"), 4),
        (KeyboardInterrupt(), 130),
        (SystemExit(143), 143),
        (ZeroDivisionError("x"), 1),
    ],
)
def test_a_failed_run_is_recorded_too(
    tmp_path: Path, scan: Path, fault: BaseException, status: int
) -> None:
    assert run(tmp_path / "r.json", scan, fault)["exit_status"] == status


def test_an_older_record_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("old")
    with pytest.raises(OutputError, match="exists"), recording(tmp_path / "r.json", Record("x")):
        pytest.fail("the work must not begin")
    assert (tmp_path / "r.json").read_text() == "old"


def test_a_record_that_cannot_be_written_does_not_hide_the_error(tmp_path: Path) -> None:
    folder = tmp_path / "folder"

    def work(fault: InputError | None) -> None:
        folder.write_text("")
        if fault:
            raise fault

    with pytest.raises(InputError, match="truncated"), recording(folder / "r.json", Record("x")):
        work(InputError("truncated"))
    folder.unlink()
    with pytest.raises(OutputError), recording(folder / "r.json", Record("x")):
        work(None)


def test_where_no_record_can_be_written_no_work_begins(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    blocked = tmp_path / "file" / "r.json"
    with pytest.raises(OutputError, match="--record"), recording(blocked, Record("x")):
        pytest.fail("the work must not begin")


def test_no_path_writes_nothing(tmp_path: Path) -> None:
    with recording(None, Record("x")):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_is_named_by_what_its_files_hold(tmp_path: Path) -> None:
    for folder, names in {"a": "12", "b": "21"}.items():
        (tmp_path / folder).mkdir()
        for name, content in zip(names, "xy", strict=True):
            (tmp_path / folder / name).write_text(content)
    assert sha256_of(tmp_path / "a") == sha256_of(tmp_path / "b")
    (tmp_path / "b" / "1").write_text("z")
    assert sha256_of(tmp_path / "a") != sha256_of(tmp_path / "b")


def test_an_input_that_is_not_there_is_said_in_one_line_and_not_named(tmp_path: Path) -> None:
    path, gone = tmp_path / "record.json", tmp_path / f"{PATIENT}.jsonl"
    with (
        pytest.raises(InputError, match=r"jsonl: cannot be read \(No such file or directory\)"),
        recording(path, Record("train")) as record,
    ):
        record.add_input(gone)
    assert PATIENT not in path.read_text()
