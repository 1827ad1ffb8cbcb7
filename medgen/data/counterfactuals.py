"""Counterfactual reports: what a report of a study says, and the same with one fact changed.

They ask a reader of reports whether it has understood: shown the image, it must prefer what is
true. Given as negatives in training, they teach it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from medgen.errors import InputError

MAX_BYTES = 5_000_000  # of one study's file


class Change(StrEnum):
    """Which fact differs."""

    SIDE = "side"
    PRESENCE = "presence"
    REGION = "region"
    SIZE = "size"
    SEVERITY = "severity"


@dataclass(frozen=True)
class Counterfactual:
    """Two reports in the same words but for one fact.

    Attributes:
        change: Which fact.
        says: What is true of the study.
        changed: What is not.
    """

    change: Change
    says: str
    changed: str


_READER = TypeAdapter(list[Counterfactual])


def write_counterfactuals(pairs: Sequence[Counterfactual], path: Path) -> None:
    """Write a study's counterfactuals as JSON."""
    rows = [asdict(pair) for pair in pairs]
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_counterfactuals(path: Path) -> list[Counterfactual]:
    """Read what `write_counterfactuals` writes, or somebody wrote in the same form.

    Raises:
        InputError: If it cannot be read, or is something else.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise InputError(f"{path}: {len(data)} bytes are too many; at most {MAX_BYTES} are read")
    try:
        return _READER.validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"{path}: is no list of counterfactuals; {where}: {first['msg'].lower()}"
        ) from None
