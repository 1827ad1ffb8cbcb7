"""A CSV table says exactly what the same manifest would; what is wrong with it has its line."""

from pathlib import Path

import pytest

from medgen.data.manifest import read_manifest, write_manifest
from medgen.data.study import Split, Study
from medgen.data.table import read_table
from medgen.errors import InputError
from medgen.modality import Kind

CT = Kind.parse("ct")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files `a` to `d` to name, and one outside it."""
    inside = tmp_path / "studies"
    inside.mkdir()
    for name in ("a", "b", "c, d", "d"):
        (inside / name).touch()
    (tmp_path / "secret").touch()
    return inside


def table(folder: Path, content: str | bytes) -> Path:
    path = folder / "list.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def problems(folder: Path, content: str | bytes) -> list[tuple[int, str]]:
    """Line and field of every problem."""
    return [(found.line, found.field) for found in read_table(table(folder, content)).problems]


def test_every_column_arrives(folder: Path) -> None:
    path = table(
        folder, 'split,id,patient,mri:t1,text,ct\ntest,s1,p1,b,d,a\n,s2,Ångström,"c, d",,\n'
    )
    t1 = Kind.parse("mri:t1")
    studies = {
        2: Study("s1", "p1", {CT: folder / "a", t1: folder / "b"}, folder / "d", Split.TEST),
        3: Study("s2", "Ångström", {t1: folder / "c, d"}),
    }
    listing = read_table(path)
    assert listing.studies == studies
    assert listing.problems == ()
    write_manifest(listing.studies.values(), folder / "manifest.jsonl")
    assert read_manifest(folder / "manifest.jsonl") == list(studies.values())


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfid,patient,ct\r\ns1,p1,a\r\n",
        b"id,patient,ct\ns1,p1,a",
        b' id , "patient",ct\n\n ,,\ns1 , p1,"a"\n\n',
        b'\xef\xbb\xbf"id",patient,ct\ns1,p1,a\n',
    ],
    ids=["mark and CRLF", "no last line end", "spaces and empty rows", "mark and quotes"],
)
def test_what_spreadsheets_add_does_not_matter(folder: Path, content: bytes) -> None:
    listing = read_table(table(folder, content))
    assert list(listing.studies.values()) == [Study("s1", "p1", {CT: folder / "a"})]
    assert not listing.problems


def test_a_quoted_line_end_is_part_of_a_cell_and_lines_are_still_counted(folder: Path) -> None:
    content = 'id,patient,ct,note\ns1,p1,a,"two\nlines"\ns2,p2,"b\nc",\ns3,p3,gone,\n'
    listing = read_table(table(folder, content), {"note": ""})
    assert list(listing.studies) == [2]
    assert [(one.line, one.field) for one in listing.problems] == [(4, "ct"), (6, "ct")]


def test_rows_without_a_name_are_called_by_their_number(folder: Path) -> None:
    listing = read_table(table(folder, "patient,ct\np1,a\n\np2,b\n"))
    assert [study.id for study in listing.studies.values()] == ["study-0001", "study-0002"]
    assert list(listing.studies) == [2, 4]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", [(0, "")]),
        ("\n\n", [(0, "")]),
        ("id,patient,ct\n", [(0, "")]),
        ("id,patient,ct,ct\ns1,p1,a,b\n", [(1, "ct")]),
        ("id;patient;ct\ns1;p1;a\n", [(1, "id;patient;ct")]),
        ("id,patient,image\ns1,p1,a\n", [(1, "image")]),
        (",patient,ct\n0,p1,a\n", [(1, "(no name)")]),
        ("id,patient,ct\ns1,p1,a,b\ns2,p2\ns3,p3,b\n", [(2, ""), (3, "")]),
        ("id,patient,ct\ns1,p1,../secret\n", [(2, "ct")]),
        ("id,patient,ct\ns1,p1,/etc/passwd\n", [(2, "ct")]),
        ("id,patient,ct\ns1,p1,http://127.0.0.1/a\n", [(2, "ct")]),
        ("id,patient,ct\ns1,p1,gone\n", [(2, "ct")]),
        ("id,patient,ct\ns1,,a\n", [(2, "patient")]),
        ("id,patient,ct\ns1,p1,\n", [(2, "")]),
        ("id,patient,ct\ns1,p1,a\ns1,p1,b\n", [(3, "id")]),
        ("id,patient,ct,split\ns1,p1,a,train\ns2,p1,b,test\n", [(3, "split")]),
        ("id,patient,ct,split\ns1,p1,a,training\n", [(2, "split")]),
        ("id,patient,ct\ns1,p1,a\ns2,p2,a\n", [(3, "patient")]),
        (b"id,patient,ct\ns1,M\xfcller,a\ns2,p2,b\n", [(2, "")]),
        (b"id,patient,\xe9\ns1,p1,a\n", [(1, "")]),
        ("id,patient,ct\ns1,p1,a\n".encode("utf-16"), [(1, "")]),
        ('id,patient,ct\ns1,p1,"a\ns2,p2,b\n', [(2, "")]),
        ('id,patient,ct\ns1,p1,"a"b\n', [(2, "")]),
        ("id,patient,ct\rs1,p1,a\r", [(1, "")]),
        ("id,patient,ct\ns1,p1," + "x" * 2_000_000 + "\ns2,p2,b\n", [(2, "")]),
        ("id,patient,ct\ns1,p1,a\x00\n", [(2, "ct")]),
    ],
    ids=lambda value: "" if isinstance(value, list) else repr(value)[-40:],
)
def test_what_is_wrong_has_its_line(
    folder: Path, content: str | bytes, expected: list[tuple[int, str]]
) -> None:
    assert problems(folder, content) == expected


def test_a_bad_row_does_not_hide_the_next(folder: Path) -> None:
    listing = read_table(table(folder, b"id,patient,ct\ns1,\xfc,a\ns2,p2,b,c\ns3,p3,d\n"))
    assert [study.id for study in listing.studies.values()] == ["s3"]


def test_a_column_is_renamed_or_left_out(folder: Path) -> None:
    path = table(folder, "subject,image,age\np1,a,61\n")
    listing = read_table(path, {"subject": "patient", "image": "ct", "age": ""})
    assert listing.studies == {2: Study("study-0001", "p1", {CT: folder / "a"})}


def test_a_table_that_is_no_file_is_an_input_error(folder: Path) -> None:
    for path in (folder, folder / "absent.csv"):
        with pytest.raises(InputError, match="cannot be read"):
            read_table(path)


def test_no_value_of_a_patient_is_repeated(folder: Path) -> None:
    content = b"id,patient,ct\nDOE JOHN,DOE^JOHN\x07,a\nDOE\xfc,DOE,a\ns1,DOE,a,DOE\n"
    assert "DOE" not in " ".join(map(str, read_table(table(folder, content)).problems))
