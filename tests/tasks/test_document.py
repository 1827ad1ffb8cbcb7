"""What is written as JSON is JSON, whatever the numbers are."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

from medgen.tasks.document import to_document


@dataclass(frozen=True)
class Inner:
    value: float


@dataclass(frozen=True)
class Outer:
    path: Path = Path("a/b")
    scores: dict[str, float] = field(default_factory=lambda: {"a": math.nan, "b": 1.5})
    inner: tuple[Inner, ...] = (Inner(math.inf), Inner(-0.0))


def refuse(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


def test_nan_and_infinity_are_null_at_any_depth() -> None:
    found = json.loads(to_document(Outer()), parse_constant=refuse)
    assert found == {
        "path": "a/b",
        "scores": {"a": None, "b": 1.5},
        "inner": [{"value": None}, {"value": 0.0}],
    }
