"""`metrics.jsonl`: one line per logged step, none twice, however often the run was resumed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medgen.errors import OutputError
from medgen.io.atomic import atomic_file


def cut_journal(path: Path, step: int) -> None:
    """Forget what was logged after a step, and a last line that was never finished.

    Raises:
        OutputError: The file cannot be rewritten.
    """
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = "".join(f"{line}\n" for line in lines if _step_of(line) <= step)
    with atomic_file(path, overwrite=True) as draft:
        draft.write_text(kept, encoding="utf-8")


def append_journal(path: Path, line: Mapping[str, Any]) -> None:
    """Add one line.

    Raises:
        OutputError: The disk is full or refuses.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}); free some space, then resume"
        ) from error


def _step_of(line: str) -> int | float:
    """The step a line tells of; infinity for a torn line."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
