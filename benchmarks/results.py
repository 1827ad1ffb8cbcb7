"""Tables and goals as data: every number that is printed stands in `results.json` first."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, finite
from medgen.io.atomic import atomic_file
from medgen.metrics.bootstrap import Interval


@dataclass(frozen=True)
class Column:
    """A column: its heading, and how many digits its numbers are printed with."""

    title: str
    digits: int = 0
    is_plain: bool = False  # of an interval, print the mean only


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        part: Which part of the benchmark, `--only PART` runs it.
        title: Its heading.
        note: How to read it.
        columns: The first one names the line.
        lines: Each as long as `columns`: a word, a number, an interval, or None.
        figure: Picture of the lines, beside the page; empty for none.
        unit: What the picture's numbers are.
    """

    part: str
    title: str
    note: str
    columns: tuple[Column, ...]
    lines: list[list[Any]] = field(default_factory=list)
    figure: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Goal:
    """What was aimed at.

    Attributes:
        what: The figure.
        wanted: `<=` or `>=` and a number, in words.
        value: What was measured; None if it was not.
        is_reached: None if it was not measured.
        digits: Of the printed value.
        part: Which part of the benchmark measures it.
    """

    what: str
    wanted: str
    value: float | None
    is_reached: bool | None
    digits: int = 2
    part: str = ""


def at_most(what: str, value: float | None, limit: float, unit: str = "", digits: int = 2) -> Goal:
    """A goal that a figure does not exceed a limit."""
    reached = None if value is None else value <= limit
    return Goal(what, f"at most {limit:g}{unit}", value, reached, digits)


def at_least(what: str, value: float | None, limit: float, unit: str = "", digits: int = 2) -> Goal:
    """A goal that a figure is not below a limit."""
    reached = None if value is None else value >= limit
    return Goal(what, f"at least {limit:g}{unit}", value, reached, digits)


def below_zero(what: str, value: float | None, digits: int = 2) -> Goal:
    """A goal of an interval's upper end: with 95 % confidence there is less."""
    return Goal(what, "below 0", value, None if value is None else value < 0, digits)


def cell(interval: Interval) -> dict[str, float | int]:
    """An interval as JSON takes it."""
    return asdict(interval)


def write_results(
    path: Path, about: dict[str, Any], tables: list[Table], goals: list[Goal], rows: list[Row]
) -> None:
    """Write everything that was measured."""
    found = {
        "about": about,
        "goals": [asdict(goal) for goal in goals],
        "tables": [asdict(table) for table in tables],
        "rows": [asdict(row) for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, overwrite=True) as draft:
        text = json.dumps(finite(found), indent=1, ensure_ascii=False)
        draft.write_text(text + "\n", encoding="utf-8")
