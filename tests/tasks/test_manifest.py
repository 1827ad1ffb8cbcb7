"""A list of any kind becomes a manifest that is right, or nothing is written."""

import json
import logging
from pathlib import Path

import pytest

from medgen.data.manifest import read_manifest
from medgen.data.splits import Shares, split_of
from medgen.data.study import Split
from medgen.errors import InputError, OutputError, UsageError
from medgen.tasks.manifest import ManifestConfig, make_manifest

SHARES = Shares(50, 25, 25)
PATIENTS = [f"p{number}" for number in range(12)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two studies of each of twelve patients."""
    rows = [(patient, f"{patient}-{visit}") for patient in PATIENTS for visit in (1, 2)]
    for _, name in rows:
        (tmp_path / name).touch()
    path = tmp_path / "list.csv"
    path.write_text("patient,ct\n" + "".join(f"{patient},{name}\n" for patient, name in rows))
    return path


def splits(manifest: Path) -> dict[str, Split | None]:
    return {study.patient: study.split for study in read_manifest(manifest)}


def test_a_table_becomes_a_manifest(table: Path) -> None:
    out = make_manifest(table, table.with_name("list.jsonl"), ManifestConfig())
    assert out == table.with_name("list.jsonl")
    first, *rest = map(json.loads, out.read_text().splitlines())
    assert first == {"id": "study-0001", "patient": "p0", "ct": "p0-1"}
    assert len(rest) == 23


def test_paths_are_relative_to_the_manifest_above_them(table: Path) -> None:
    out = make_manifest(table, table.parent.parent / "all.jsonl", ManifestConfig())
    assert read_manifest(out)[0].files == [out.parent / table.parent.name / "p0-1"]
    out.unlink()
    with pytest.raises(OutputError, match="write the manifest above its studies"):
        make_manifest(table, table.parent / "below", ManifestConfig())
    assert not list(table.parent.rglob("*.jsonl"))


def test_patients_are_split_whole_and_as_said(table: Path) -> None:
    out = make_manifest(table, table.parent, ManifestConfig(shares=SHARES, seed=5))
    assert out == table.parent / "manifest.jsonl"
    assert splits(out) == {patient: split_of(patient, SHARES, seed=5) for patient in PATIENTS}


def test_splits_that_are_there_are_kept_or_replaced_when_asked(table: Path) -> None:
    first = make_manifest(table, table.with_name("a.jsonl"), ManifestConfig(shares=SHARES))
    second = table.with_name("b.jsonl")
    with pytest.raises(UsageError, match=r"a\.jsonl: study 'study-0001' is in .*--replace-splits"):
        make_manifest(first, second, ManifestConfig(shares=SHARES, seed=1))
    assert not second.exists()
    make_manifest(first, second, ManifestConfig(shares=SHARES, seed=1, replace_splits=True))
    assert splits(second) == {patient: split_of(patient, SHARES, seed=1) for patient in PATIENTS}
    make_manifest(first, second, ManifestConfig(overwrite=True))
    assert second.read_bytes() == first.read_bytes()


def test_a_manifest_may_be_replaced_by_its_own_split(table: Path) -> None:
    out = make_manifest(table, table.parent, ManifestConfig())
    with pytest.raises(OutputError, match="exists"):
        make_manifest(table.parent, out, ManifestConfig(shares=SHARES))
    make_manifest(table.parent, out, ManifestConfig(shares=SHARES, overwrite=True))
    assert None not in splits(out).values()


def test_a_list_with_a_problem_is_not_written(table: Path) -> None:
    table.write_text(table.read_text() + "p0,gone\n")
    with pytest.raises(InputError, match=r"list\.csv: line 26: ct: no such file: 'gone'"):
        make_manifest(table, table.parent, ManifestConfig())
    assert not list(table.parent.glob("*.jsonl"))


def test_a_split_that_nobody_fell_into_is_said(
    table: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table.write_text("patient,ct\np0,p0-1\n")
    with caplog.at_level(logging.WARNING):
        make_manifest(table, table.parent, ManifestConfig(shares=Shares(90, 10, 0)))
    assert "no patient fell into validation" in caplog.text
    assert "test" not in caplog.text


def test_a_name_that_nobody_would_read_is_refused(table: Path) -> None:
    for out in ("list.json", "list.csv"):
        with pytest.raises(UsageError, match=r"ends in \.jsonl"):
            make_manifest(table, table.with_name("new-" + out), ManifestConfig())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("p0-1", "is no list of studies"),
        ("absent.csv", "there is no such file or folder"),
        (".", "is no list of studies"),
    ],
)
def test_what_is_no_list_is_refused(table: Path, name: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        make_manifest(table.parent / name, table.with_name("list.jsonl"), ManifestConfig())


def test_how_to_split_means_nothing_without_shares() -> None:
    for more in ({"seed": 1}, {"replace_splits": True}):
        with pytest.raises(UsageError, match="add --shares"):
            ManifestConfig(**more)
