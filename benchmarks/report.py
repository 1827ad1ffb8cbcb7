"""BENCHMARKS.md from results.json: `python -m benchmarks.report`; adds words, never a number.

What these results lack stays as the page has it, as long as it was measured with the same weights:
whole tables, and single lines of a table, which are marked.
"""

import argparse
import json
import math
import re
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from medgen.io.atomic import atomic_file

RESULTS, REPORT = Path("runs/bench/results.json"), Path("BENCHMARKS.md")
DASH = "-"
OPEN = "Not measured: open."
ENCODERS = ("text", "xray", "ct", "mri", "temperature", "finder", "usual")
RADIOGRAPHS = ("text", "codec-xray", "flow-xray")
CTS = ("text", "codec-ct-body", "flow-ct")
RESTS_ON = {  # which parts of the model of flows; what is not here rests on the translator
    "race": (),  # its networks are trained for it, and not kept
    **dict.fromkeys(("retrieval", "ablation", "archive"), ENCODERS),
    "generation": (*ENCODERS, *RADIOGRAPHS, "codec-ct", "codec-mri", "codec-text"),
    **dict.fromkeys(("ct-chests", "ct-heads", "scarce"), CTS),
    "reports": (*ENCODERS, "writer", "codec-text", "flow-text"),
    **dict.fromkeys(("weaving", "segmenting"), RADIOGRAPHS),
    **dict.fromkeys(("instruct", "refine"), (*RADIOGRAPHS, "instruct-xray", "refine-xray")),
}
WEIGHTS = "; weights "
LISTS = ("measured", "commits")  # of `about`, which grow
MACHINE = "machine"  # so does this: what stays was measured where it was measured
EARLIER, OR = "; earlier ones: ", " / "  # machines
EARLIER_LINE = "†"
NUMBER = r"-|[-+]?[0-9][0-9.]*( ± .*)?"
OPENING = """\
# Benchmarks

Written by `python -m benchmarks.report` from the results of `make bench`; not by hand. What was
aimed at and not reached is marked so. None of it says that a result is fit for clinical use.
"""


def render(results: dict[str, Any], page: str = "") -> str:
    """The whole page.

    Args:
        results: What was measured.
        page: As it was before; empty for none.
    """
    about = results["about"]
    before = _Page(page, about)
    parts = [OPENING, _about(about, before), _goals(results["goals"], before)]
    for table in results["tables"]:
        kept = before.section(table)
        parts.append(_table(table, about, kept) if table["lines"] or not kept else kept)
    return "\n".join(parts)


class _Page:
    """What an earlier page says that is still true.

    Args:
        page: Its text.
        about: Of the new results: what was measured with another model is not kept.
    """

    def __init__(self, page: str, about: dict[str, Any]) -> None:
        head, *sections = f"\n{page}".split("\n## ")
        self._sections = {text.partition("\n")[0]: f"## {text}" for text in sections}
        self.about = {line[0]: line[1:] for line in _lines(head)}
        goals = _lines(self._sections.get("Goals", ""))
        self._goals = {tuple(line[:2]): _row(line) for line in goals}
        self._about = {_spaced(key): _plain(value) for key, value in about.items()}

    def section(self, table: dict[str, Any]) -> str:
        """The section of a table; empty if there is none, or it is out of date."""
        text = self._sections.get(table["title"], OPEN)
        return f"{text.rstrip()}\n" if OPEN not in text and self._holds(table["part"]) else ""

    def goal(self, goal: dict[str, Any]) -> str:
        """The line of a goal; empty if there is none, or it is out of date."""
        line = self._goals.get((goal["what"], goal["wanted"]), "")
        return line if self._holds(goal["part"]) else ""

    def _holds(self, part: str) -> bool:
        rests_on = RESTS_ON.get(part)
        key = "model" if rests_on is None else "flows"
        before, now = "".join(self.about.get(key, [])), self._about.get(key, "")
        if rests_on is None:
            return before == now
        return _weights(before, rests_on) == _weights(now, rests_on)


def _weights(said: str, parts: Sequence[str]) -> dict[str, str]:
    """The weights of some parts, as `run` tells them: `flow-ct 01ab, text 23cd`."""
    pairs = (each.rpartition(" ") for each in said.partition(WEIGHTS)[2].split(", "))
    return {name: weights for name, _, weights in pairs if name in parts}


def _lines(text: str) -> list[list[str]]:
    """The cells of each line of a text's tables."""
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]


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


def _about(about: dict[str, Any], before: _Page) -> str:
    listed = []
    for key, value in about.items():
        said = _plain(value)
        if key in LISTS and key in before.about:
            said = ", ".join(sorted({*value, *before.about[key][0].split(", ")}))
        if key == MACHINE and key in before.about:
            last, _, older = before.about[key][0].partition(EARLIER)
            others = [one for one in (last, *older.split(OR)) if one not in (said, "")]
            said = f"{said}{EARLIER}{OR.join(others)}" if others else said
        listed.append(f"| {_spaced(key)} | {said} |")
    return "\n".join(["| run | |", "|---|---|", *listed, ""])


def _spaced(key: str) -> str:
    return key.replace("_", " ")


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_plain(each)}" for key, each in value.items() if each != "")
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _goals(goals: list[dict[str, Any]], before: _Page) -> str:
    lines = ["## Goals", "", "| figure | wanted | measured | |", "|---|---|---|---|"]
    words = {True: "reached", False: "**not reached: open**", None: "**not measured: open**"}
    for goal in goals:
        kept = before.goal(goal)
        if goal["value"] is None and kept:
            lines.append(kept)
            continue
        measured = number(goal["value"], goal["digits"])
        verdict = words[goal["is_reached"]]
        lines.append(f"| {goal['what']} | {goal['wanted']} | {measured} | {verdict} |")
    return "\n".join([*lines, ""])


def _table(table: dict[str, Any], about: dict[str, Any], before: str) -> str:
    """A section, with the lines of an earlier one that these results lack."""
    columns = table["columns"]
    lines = [f"## {table['title']}", "", table["note"], ""]
    if not table["lines"]:
        return "\n".join([*lines, OPEN, ""])
    new = [
        [shown(value, column) for value, column in zip(line, columns, strict=True)]
        for line in table["lines"]
    ]
    heading = [column["title"] for column in columns]
    merged = _merged(new, _lines(before), heading)
    lines += [_row(heading), "|---" * len(columns) + "|", *map(_row, merged)]
    if figure := table.get("figure"):
        lines += ["", f"![{table['title']}]({figure})"]
    command = f"python -m benchmarks.run --only {table['part']}"
    older = f" {EARLIER_LINE} measured earlier." if len(merged) > len(new) else ""
    return "\n".join([*lines, "", f"`{command}`, {about['date']}.{older}", ""])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _merged(new: list[list[str]], old: list[list[str]], heading: list[str]) -> list[list[str]]:
    """Lines in their earlier order, newer ones in place of older, and what is new at the end."""
    if not old or [old[0]] != _lines(_row(heading)):
        return new
    found = {_name(line): line for line in new}
    kept = [found.pop(_name(line), _marked(line)) for line in old[1:]]
    return [*kept, *found.values()]


def _name(line: list[str]) -> tuple[str, ...]:
    """What a line is about: its words, up to the first number."""
    (first, *others) = line
    words = takewhile(lambda cell: not re.fullmatch(NUMBER, cell), others)
    return (first.removesuffix(f" {EARLIER_LINE}"), *words)


def _marked(line: list[str]) -> list[str]:
    return [f"{line[0].removesuffix(f' {EARLIER_LINE}')} {EARLIER_LINE}", *line[1:]]


def main(arguments: list[str] | None = None) -> int:
    """Read the results and write the page."""
    parser = argparse.ArgumentParser(prog="benchmarks.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("-o", "--out", type=Path, default=REPORT)
    options = parser.parse_args(arguments)
    results = json.loads(options.results.read_text(encoding="utf-8"))
    before = options.out.read_text(encoding="utf-8") if options.out.exists() else ""
    with atomic_file(options.out, overwrite=True) as draft:
        draft.write_text(render(results, before), encoding="utf-8")
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
