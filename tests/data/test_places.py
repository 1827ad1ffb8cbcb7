"""A place is what the system says of a path that is followed step by step."""

import os
from pathlib import Path

import pytest

from medgen.data.places import Place, Places


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    for name in ("in/a", "in/deep/b", "out/c"):
        (tmp_path / name).touch()
    for name, target in {
        "in/to_a": "a",
        "in/to_out": "../out",
        "in/deep/up": "..",
        "in/broken": "nothing",
        "in/round": "round",
        "in/chain": "to_out/c",
    }.items():
        (tmp_path / name).symlink_to(target)
    return tmp_path


NAMES = ["a", "to_a", "deep", "deep/b", "to_out", "to_out/c", "to_out/none", "deep/up/a"]
NAMES += ["deep/up/deep/up/to_a", "broken", "broken/x", "round", "chain", "none", "none/x", "a/x"]
NAMES += ["..", "../out/c", "deep/..", "deep/../a", "", ".", "n" * 300]


def test_it_is_as_the_system_says_whatever_was_asked_before(tree: Path) -> None:
    places = Places()
    for _ in range(2):
        for name in NAMES:
            path = f"{tree}/in/{name}"
            real = os.path.realpath(path)
            assert places.of(path) == Place(real, os.access(real, os.F_OK)), name


def test_relative_paths_and_the_root(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree / "in")
    places = Places()
    for path in ("a", "deep/b", "to_out/c", "/", "/a", "none", "tmp", "/tmp"):
        real = os.path.realpath(path)
        assert places.of(path) == Place(real, os.access(real, os.F_OK)), path
