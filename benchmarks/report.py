"""BENCHMARKS.md from results.json: `python -m benchmarks.report`; adds words, never a number."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from medgen.io.atomic import atomic_file

RESULTS, REPORT = Path("runs/bench/results.json"), Path("BENCHMARKS.md")
DASH = "-"
OPENING = """\
# Benchmarks

Written by `python -m benchmarks.report` from the results of `make bench`; not by hand. What was
aimed at and not reached is marked so. None of it says that a result is fit for clinical use.
"""


def render(results: dict[str, Any]) -> str:
    """The whole page."""
    parts = [OPENING, _about(results["about"]), _goals(results["goals"])]
    parts += [_table(table, results["about"]) for table in results["tables"]]
    return "\n".join(parts)


def number(value: float | None, digits: int) -> str:
    """A number with so many digits after the point; a dash where there is none."""
    if value is None or math.isnan(value):
        return DASH
    return f"{value:.{digits}f}"


def shown(value: Any, column: dict[str, Any]) -> str:
    """A cell as it is printed."""
    if isinstance(value, dict):
        return _interval(value, column)
    if value is None or isinstance(value, int | float):
        return number(value, column["digits"])
    return str(value)


def _interval(value: dict[str, Any], column: dict[str, Any]) -> str:
    mean, sd, low, high = (
        number(value[name], column["digits"]) for name in ("mean", "sd", "low", "high")
    )
    if column["is_plain"] or sd == DASH:
        return mean
    return f"{mean} ± {sd} [{low}, {high}]"


def _about(about: dict[str, Any]) -> str:
    listed = [f"| {key.replace('_', ' ')} | {_plain(value)} |" for key, value in about.items()]
    return "\n".join(["| run | |", "|---|---|", *listed, ""])


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_plain(each)}" for key, each in value.items() if each != "")
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _goals(goals: list[dict[str, Any]]) -> str:
    lines = ["## Goals", "", "| figure | wanted | measured | |", "|---|---|---|---|"]
    words = {True: "reached", False: "**not reached: open**", None: "**not measured: open**"}
    for goal in goals:
        measured = number(goal["value"], goal["digits"])
        verdict = words[goal["is_reached"]]
        lines.append(f"| {goal['what']} | {goal['wanted']} | {measured} | {verdict} |")
    return "\n".join([*lines, ""])


def _table(table: dict[str, Any], about: dict[str, Any]) -> str:
    columns = table["columns"]
    lines = [f"## {table['title']}", "", table["note"], ""]
    if not table["lines"]:
        return "\n".join([*lines, "Not measured: open.", ""])
    lines.append("| " + " | ".join(column["title"] for column in columns) + " |")
    lines.append("|---" * len(columns) + "|")
    for line in table["lines"]:
        cells = (shown(value, column) for value, column in zip(line, columns, strict=True))
        lines.append("| " + " | ".join(cells) + " |")
    command = f"python -m benchmarks.run --only {table['part']}"
    return "\n".join([*lines, "", f"`{command}`, {about['date']}.", ""])


def main(arguments: list[str] | None = None) -> int:
    """Read the results and write the page."""
    parser = argparse.ArgumentParser(prog="benchmarks.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("-o", "--out", type=Path, default=REPORT)
    options = parser.parse_args(arguments)
    results = json.loads(options.results.read_text(encoding="utf-8"))
    with atomic_file(options.out, overwrite=True) as draft:
        draft.write_text(render(results), encoding="utf-8")
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
