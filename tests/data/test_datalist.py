"""A MONAI datalist says what the same manifest would; what is wrong with it names the entry."""

import json
from pathlib import Path

import pytest

from medgen.data.datalist import MAX_BYTES, read_datalist
from medgen.data.study import Split, Study
from medgen.errors import InputError, UsageError
from medgen.modality import Kind

CT, T1 = Kind.parse("ct"), Kind.parse("mri:t1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files `a` to `d` to name, and one outside it."""
    inside = tmp_path / "task"
    inside.mkdir()
    for name in ("a", "b", "c", "d"):
        (inside / name).touch()
    (tmp_path / "secret").touch()
    return inside


def datalist(folder: Path, content: object) -> Path:
    path = folder / "dataset.json"
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def problems(folder: Path, content: object, **renaming: str) -> list[str]:
    """Fields of all problems; none of them has a line."""
    found = read_datalist(datalist(folder, content), renaming).problems
    assert not any(problem.line for problem in found)
    return [problem.field for problem in found]


def test_a_decathlon_dataset_by_hand(folder: Path) -> None:
    document = {
        "name": "Liver",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "liver"},
        "channel_names": ["CT"],
        "numTraining": 2,
        "training": [{"image": "./a", "label": "./b"}, {"image": "./c", "label": "./b"}],
        "test": ["./d"],
    }
    listing = read_datalist(datalist(folder, document), {"image": "ct", "label": ""})
    assert listing.problems == ()
    assert listing.studies == {
        1: Study("study-0001", "study-0001", {CT: folder / "a"}, split=Split.TRAIN),
        2: Study("study-0002", "study-0002", {CT: folder / "c"}, split=Split.TRAIN),
        3: Study("study-0003", "study-0003", {CT: folder / "d"}, split=Split.TEST),
    }


def test_keys_of_a_manifest_need_no_renaming(folder: Path) -> None:
    entry = {"id": "s1", "patient": "p1", "ct": "a", "image": "b", "text": None, "fold": 0}
    path = datalist(folder, {"validation": [entry]})
    listing = read_datalist(path, {"image": "mri:t1", "fold": ""})
    images = {CT: folder / "a", T1: folder / "b"}
    assert listing.studies == {1: Study("s1", "p1", images, split=Split.VALIDATION)}


@pytest.mark.parametrize(
    ("section", "split"),
    [
        ("train", Split.TRAIN),
        ("training", Split.TRAIN),
        ("val", Split.VALIDATION),
        ("validation", Split.VALIDATION),
        ("test", Split.TEST),
        ("testing", Split.TEST),
    ],
)
def test_sections_become_splits(folder: Path, section: str, split: Split) -> None:
    listing = read_datalist(datalist(folder, {section: ["a"]}), {"image": "ct"})
    assert listing.studies[1].split == split


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", [""]),
        ("{", [""]),
        ('{"training": "\udcff"}', [""]),
        ('{"training": [], "training": []}', [""]),
        ("[" * 100_000, [""]),
        ([{"ct": "a"}], [""]),
        ({"name": "Liver"}, [""]),
        ({"training": []}, [""]),
        ({"training": {"ct": "a"}}, ["training"]),
        ({"training": [{"ct": "a"}], "fold0": [{"ct": "b"}]}, ["fold0"]),
        ({"training": ["a"]}, ["image"]),
        ({"training": [{"image": "a", "label": "b"}, {"image": "c"}]}, ["image", "label"]),
        ({"training": [{"ct": "a"}, 7]}, ["training[1]"]),
        ({"training": [{"ct": ["a", "b"]}]}, ["training[0].ct"]),
        ({"training": [{"ct": "a"}], "test": [{"ct": "../secret"}]}, ["test[0].ct"]),
        ({"training": [{"ct": "a"}], "test": [{"ct": "a"}]}, ["test[0].patient"]),
        ({"training": [{"ct": "a", "split": "test"}]}, ["training[0].split"]),
        ({"training": [{"id": 1, "ct": "a", "patient": "p"}]}, ["training[0].id"]),
        ({"training": [{"ct": "a", "patient": "p"}, {"ct": "b"}]}, ["training[1].patient"]),
    ],
    ids=lambda value: "" if isinstance(value, list) and value[:1] == [""] else str(value)[:40],
)
def test_what_is_wrong_has_its_place(folder: Path, content: object, expected: list[str]) -> None:
    assert problems(folder, content) == expected


def test_no_patient_is_in_two_sections(folder: Path) -> None:
    row = {"patient": "p1"}
    document = {"training": [row | {"ct": "a"}], "test": [row | {"ct": "b"}]}
    [problem] = read_datalist(datalist(folder, document)).problems
    assert str(problem) == ("test[0].split: the same patient is in another split on training[0]")


def test_an_unknown_key_names_the_remedy(folder: Path) -> None:
    [problem] = read_datalist(datalist(folder, {"training": ["a"]})).problems
    assert "--map 'image=KEY'" in problem.message
    assert "--map 'image='" in problem.message


def test_what_is_not_there_cannot_be_renamed(folder: Path) -> None:
    with pytest.raises(UsageError, match="has no 'label'"):
        read_datalist(datalist(folder, {"training": ["a"]}), {"image": "ct", "label": ""})


def test_a_datalist_that_cannot_be_read_is_an_input_error(folder: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_datalist(folder / "absent.json")
    huge = folder / "huge.json"
    with huge.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # takes no room on the disk
    with pytest.raises(InputError, match="has more than"):
        read_datalist(huge)
