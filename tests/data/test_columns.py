"""Every column is a key of the manifest, was renamed to one, or was left out on purpose."""

import logging
from pathlib import Path

import pytest

from medgen.data.columns import Columns, parse_renaming
from medgen.errors import UsageError

LIST = Path("list.csv")


@pytest.mark.parametrize(
    ("word", "fault"),
    [
        ("image", "write NAME=KEY"),
        ("image=mri:t3", "'mri:t3' is not one of id, patient, split, text, xray"),
        ("ct=CT", "'CT' is not one of"),
        ("label=text", "'label' is renamed twice"),
    ],
)
def test_a_renaming_that_means_nothing_is_refused(word: str, fault: str) -> None:
    with pytest.raises(UsageError, match=f"^--map {word}: {fault}"):
        parse_renaming(["label=", word])


def test_a_name_may_have_an_equals_sign_or_be_empty() -> None:
    assert parse_renaming(["a=b=ct", "="]) == {"a=b": "ct", "": ""}


def test_a_row_says_what_its_columns_mean() -> None:
    columns = Columns(
        ("who", "id", "image", "note"), parse_renaming(["who=patient", "image=ct", "note="])
    )
    assert columns.keys == ("patient", "id", "ct", "")
    assert columns.entry(7, ["p1", "s1", "a", "x"]) == {"patient": "p1", "id": "s1", "ct": "a"}
    assert columns.entry(7, ["p1", None, "a", None]) == {
        "patient": "p1",
        "id": "study-0007",
        "ct": "a",
    }
    assert columns.entry(7, [None, "s1", None, None]) == {"id": "s1"}


def test_names_may_be_exchanged() -> None:
    columns = Columns(("ct", "mri"), {"ct": "mri", "mri": "ct"})
    assert columns.check(LIST, 1) == ()
    assert columns.entry(1, ["a", "b"])["mri"] == "a"


def test_without_patients_each_study_is_another_and_this_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    columns = Columns(("id", "ct"), {})
    with caplog.at_level(logging.WARNING):
        assert columns.check(LIST, 1) == ()
    assert "list.csv: names no patients" in caplog.text
    assert columns.entry(1, ["s1", "a"]) == {"id": "s1", "patient": "s1", "ct": "a"}
    caplog.clear()
    assert Columns(("patient", "ct"), {}).check(LIST, 1) == ()
    assert not caplog.text


@pytest.mark.parametrize(
    ("names", "fields", "fault"),
    [
        (("id", "image"), ["image"], "--map 'image=KEY'"),
        (("ID", "ct", ""), ["ID", "(no name)"], "leave it out with --map"),
        (("ct", "ct"), ["ct"], "2 columns are 'ct'"),
        (("ct", "other"), ["ct", "other"], "2 columns are 'ct'"),
        (("a\x1b[2J", "ct"), [r"a\x1b[2J"], "not a known key"),
    ],
)
def test_a_bad_name_is_named_with_its_remedy(
    names: tuple[str, ...], fields: list[str], fault: str
) -> None:
    renaming = {"other": "ct"} if "other" in names else {}
    problems = Columns(names, renaming).check(LIST, 1)
    assert [(problem.line, problem.field) for problem in problems] == [(1, name) for name in fields]
    assert fault in problems[0].message


def test_what_is_not_there_cannot_be_renamed() -> None:
    with pytest.raises(UsageError, match=r"^--map imgae=ct: list.csv has no 'imgae'"):
        Columns(("image",), {"imgae": "ct"}).check(LIST, 1)
