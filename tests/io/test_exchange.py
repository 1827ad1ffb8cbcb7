"""While two folders trade places, somebody who looks always finds a whole one."""

import threading
from pathlib import Path

import pytest

from medgen.io import atomic
from medgen.io.atomic import atomic_folder
from medgen.io.exchange import exchange


def folder(path: Path, word: str) -> Path:
    path.mkdir()
    (path / "word").write_text(word)
    return path


def can_exchange(tmp_path: Path) -> bool:
    return exchange(folder(tmp_path / "x", "x"), folder(tmp_path / "y", "y"))


def test_two_folders_trade_places(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a", "a"), folder(tmp_path / "b", "b")
    if not exchange(a, b):
        pytest.skip("this system cannot exchange two names")
    assert ((a / "word").read_text(), (b / "word").read_text()) == ("b", "a")


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    if not can_exchange(tmp_path):
        pytest.skip("this system cannot exchange two names")
    with pytest.raises(FileNotFoundError):
        exchange(folder(tmp_path / "a", "a"), tmp_path / "absent")


def test_a_reader_never_finds_nothing(tmp_path: Path) -> None:
    if not can_exchange(tmp_path):
        pytest.skip("this system cannot exchange two names")
    target = folder(tmp_path / "model", "0")
    missing, is_done = [], threading.Event()

    def look() -> None:
        while not is_done.is_set():
            if not target.exists():
                missing.append(1)

    watcher = threading.Thread(target=look)
    watcher.start()
    for number in range(50):
        with atomic_folder(target, overwrite=True) as draft:
            (draft / "word").write_text(str(number))
    is_done.set()
    watcher.join()
    assert not missing
    assert (target / "word").read_text() == "49"


@pytest.mark.parametrize("able", [True, False])
def test_nothing_is_left_beside_a_replaced_folder(
    able: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not able:
        monkeypatch.setattr(atomic, "exchange", lambda first, second: False)
    target = folder(tmp_path / "model", "old")
    with atomic_folder(target, overwrite=True) as draft:
        (draft / "word").write_text("new")
    assert (target / "word").read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]
