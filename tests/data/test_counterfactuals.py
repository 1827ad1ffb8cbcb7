"""Counterfactual reports come back as they were written; anything else is refused in a line."""

from pathlib import Path

import pytest

from medgen.data.counterfactuals import (
    MAX_BYTES,
    Change,
    Counterfactual,
    read_counterfactuals,
    write_counterfactuals,
)
from medgen.errors import InputError

PAIRS = [
    Counterfactual(Change.SIDE, "Left effusion.", "Right effusion."),
    Counterfactual(Change.PRESENCE, "Kein Erguß.", "Erguß."),
]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_counterfactuals(PAIRS, tmp_path / "pairs.json")
    assert read_counterfactuals(tmp_path / "pairs.json") == PAIRS


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no list of counterfactuals"),
        (b"{}", "no list of counterfactuals"),
        (b"\xff\xfe", "no list of counterfactuals"),
        (b'[{"change": "colour", "says": "a", "changed": "b"}]', "0.change"),
        (b'[{"change": "side", "says": "a"}]', "0.changed"),
        (b"[" + b" " * MAX_BYTES + b"]", "too many"),
    ],
)
def test_what_is_no_list_of_them_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "pairs.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_counterfactuals(path)
    assert "\n" not in str(caught.value)
    assert "pairs.json" in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_counterfactuals(tmp_path / "missing.json")
