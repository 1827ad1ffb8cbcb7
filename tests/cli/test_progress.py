"""The bar is for people at a terminal; everybody else gets silence and the same work."""

import io
import sys

import pytest

from medgen.cli.progress import is_watched, progress_bar, watched


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(watched("abc", "work", total=3)) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert is_watched()
    with progress_bar("train", total=4, unit="steps") as advance:
        advance(1)
        advance(2, "loss 0.5")
    text = terminal.getvalue()
    assert "train" in text
    assert "3/4" in text
    assert "loss 0.5" in text


def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("train", total=4) as advance:
        advance(1)
    assert "\x1b[3" not in terminal.getvalue()  # colours; moving the cursor is allowed
