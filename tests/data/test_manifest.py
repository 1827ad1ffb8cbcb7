"""A manifest is read whole and right, or refused with the line, the key and the reason."""

import json
import socket
from pathlib import Path

import pytest

from medgen.data.listing import Problem
from medgen.data.manifest import list_studies, read_manifest, write_manifest
from medgen.data.study import Split, Study
from medgen.errors import InputError, OutputError
from medgen.modality import WORDS, Kind


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files `a` to `d` to name, and one outside it."""
    inside = tmp_path / "studies"
    inside.mkdir()
    for name in ("a", "b", "c", "d"):
        (inside / name).touch()
    (tmp_path / "secret").touch()
    return inside


def manifest(folder: Path, *rows: object) -> Path:
    """Write lines, each a mapping or the text itself."""
    path = folder / "manifest.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    return path


def row(**more: object) -> dict[str, object]:
    return {"id": "s1", "patient": "p1", "ct": "a"} | more


def problem(folder: Path, *rows: object) -> tuple[int, str]:
    """Line and field of the only problem."""
    [found] = list_studies(manifest(folder, *rows)).problems
    return found.line, found.field


def test_every_key_arrives(folder: Path) -> None:
    words = {"ct": "a", "mri:t1": "b", "mri": "c"}
    path = manifest(folder, row(**words, text="d", split="validation"))
    images = {Kind.parse(word): folder / name for word, name in words.items()}
    assert read_manifest(path) == [Study("s1", "p1", images, folder / "d", Split.VALIDATION)]


@pytest.mark.parametrize("word", WORDS[1:])
def test_every_kind_of_image_has_a_key(folder: Path, word: str) -> None:
    path = manifest(folder, {"id": "s", "patient": "p", word: "b"})
    assert read_manifest(path)[0].images == {Kind.parse(word): folder / "b"}


def test_what_is_written_is_read(folder: Path) -> None:
    images = {Kind.parse("ct"): folder / "a", Kind.parse("mri:flair"): folder / "b"}
    studies = [
        Study("s1", "p1", images, None, Split.TRAIN),
        Study("s2", "Ångström", {Kind.parse("mri"): folder / "c"}, folder / "d"),
    ]
    write_manifest(studies, folder / "new.jsonl")
    assert read_manifest(folder / "new.jsonl") == studies


def test_a_written_manifest_is_whole_or_absent(folder: Path) -> None:
    good = Study("s1", "p1", {Kind.parse("ct"): folder / "a"})
    bad = Study("s2", "p2", {Kind.parse("ct"): folder.parent / "secret"})
    with pytest.raises(OutputError, match="outside"):
        write_manifest([good, bad], folder / "new.jsonl")
    assert not list(folder.glob("*new*"))
    write_manifest([good], folder / "new.jsonl")
    with pytest.raises(OutputError, match="exists"):
        write_manifest([good], folder / "new.jsonl")


def test_blank_lines_and_a_byte_order_mark_do_not_matter(folder: Path) -> None:
    path = manifest(folder, "\ufeff" + json.dumps(row()), "", json.dumps(row(id="s2")), "")
    assert [study.id for study in read_manifest(path)] == ["s1", "s2"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"ct": "../secret"}, "ct"),
        ({"ct": "b/../../secret"}, "ct"),
        ({"ct": "/etc/passwd"}, "ct"),
        ({"ct": "link"}, "ct"),
        ({"ct": "loop"}, "ct"),
        ({"ct": "~/a"}, "ct"),
        ({"ct": "~root"}, "ct"),
        ({"ct": "http://127.0.0.1/a"}, "ct"),
        ({"ct": "file:///etc/passwd"}, "ct"),
        ({"ct": "a\x00b"}, "ct"),
        ({"ct": "a\x1b[2J"}, "ct"),
        ({"ct": ""}, "ct"),
        ({"ct": "x" * 5000}, "ct"),
        ({"ct": "missing"}, "ct"),
        ({"ct": 7}, "ct"),
        ({"ct": ["a"]}, "ct"),
        ({"text": "missing"}, "text"),
        ({"cta": "a"}, "cta"),
        ({"mri_t1": "a"}, "mri_t1"),
        ({"split": "training"}, "split"),
        ({"id": "../x"}, "id"),
        ({"id": ""}, "id"),
        ({"id": "x" * 200}, "id"),
        ({"patient": ""}, "patient"),
        ({"patient": None}, "patient"),
        ({"ct": None}, ""),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_a_bad_value_is_refused(folder: Path, change: dict[str, object], field: str) -> None:
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "loop").symlink_to(folder / "loop")
    assert problem(folder, row(id="s0"), row(**change)) == (2, field)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        '"text"',
        '{"id": "s1", "id": "s1", "patient": "p", "ct": "a"}',
        '{"id": "s1", "patient": "p", "ct": "\udcff"}',
        "[" * 100_000,
        '{"id": 1' + "0" * 5000 + "}",
        '{"id": "s1", "patient": "p", "ct": "a", "x": "' + "y" * 10_000_000 + '"}',
    ],
    ids=["cut", "list", "null", "string", "twice", "encoding", "deep", "digits", "10 MB"],
)
def test_a_line_that_is_no_object_is_refused_and_the_next_is_read(folder: Path, text: str) -> None:
    assert problem(folder, row(id="s0"), text, row(id="s2")) == (2, "")


@pytest.mark.parametrize("field", ["id", "patient"])
def test_what_is_missing_is_named(folder: Path, field: str) -> None:
    assert problem(folder, {key: word for key, word in row().items() if key != field}) == (1, field)


def test_an_id_stands_once(folder: Path) -> None:
    assert problem(folder, row(), row(ct="b")) == (2, "id")


@pytest.mark.parametrize(("first", "second"), [("train", "test"), ("train", None)])
def test_no_patient_is_in_two_splits(folder: Path, first: str, second: str | None) -> None:
    rows = [row(split=first), row(id="s2", ct="b", split=second)]
    assert problem(folder, *rows) == (2, "split")


def test_no_file_belongs_to_two_patients(folder: Path) -> None:
    assert problem(folder, row(), row(id="s2", patient="p2", mri="./a", ct="b")) == (2, "patient")


def test_all_problems_come_in_the_order_of_the_lines(folder: Path) -> None:
    path = manifest(folder, row(ct="x", mri="y"), row(id="s2"), "{", row(id="s2", ct="b"))
    found = [(found.line, found.field) for found in list_studies(path).problems]
    assert found == [(1, "ct"), (1, "mri"), (3, ""), (4, "id")]
    with pytest.raises(InputError, match=r"line 1: ct: no such file: 'x' \(and 3 more problems; "):
        read_manifest(path)


def test_outside_is_allowed_only_when_asked_and_urls_never_are(folder: Path) -> None:
    path = manifest(folder, row(ct="../secret"), row(id="s2", mri=str(folder / "a"), ct="b"))
    assert len(list_studies(path).problems) == 2
    assert len(read_manifest(path, allow_outside=True)) == 2
    path = manifest(folder, row(ct="http://127.0.0.1/a"))
    assert [p.field for p in list_studies(path, allow_outside=True).problems] == ["ct"]


def test_an_empty_manifest_says_so(folder: Path) -> None:
    assert list_studies(manifest(folder)).problems == (Problem(0, "", "has no studies"),)


def test_a_manifest_that_is_no_file_is_an_input_error(folder: Path) -> None:
    for path in (folder, folder / "absent.jsonl"):
        with pytest.raises(InputError, match="cannot be read"):
            list_studies(path)


def test_no_value_of_a_patient_is_repeated(folder: Path) -> None:
    path = manifest(folder, row(patient="DOE^JOHN\x07"), row(id="DOE JOHN"))
    assert "DOE" not in " ".join(map(str, list_studies(path).problems))


def test_nothing_is_ever_fetched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)
    assert list_studies(manifest(folder, row(ct="https://127.0.0.1/a"))).problems
