"""Tables drawn: a line for each of its lines, over the numbers in the headings of its columns."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.results import Table
from medgen.io.atomic import atomic_file

INCHES = (6.0, 3.2)


def draw_lines(table: Table, path: Path) -> None:
    """Draw a table as SVG; the same numbers give the same bytes.

    Args:
        table: Its first column names the lines; the headings of the others begin with a number.
        path: Of the picture; an older one is replaced.
    """
    places = [float(column.title.partition(" ")[0]) for column in table.columns[1:]]
    figure = Figure(figsize=INCHES, layout="constrained")
    axes = figure.subplots()
    for name, *values in table.lines:
        known = [(x, y) for x, y in zip(places, values, strict=True) if y is not None]
        axes.plot(*zip(*known, strict=True), marker="o", markersize=3, label=name)
    axes.set(xscale="log", yscale="log", xlabel=table.columns[1].title.partition(" ")[2])
    axes.set_xticks(places, [f"{place:g}" for place in places], minor=False)
    axes.set_xticks([], minor=True)
    axes.set(title=table.title, ylabel=table.unit)
    axes.legend(frameon=False)
    with (
        mpl.rc_context({"svg.hashsalt": "medgen", "svg.fonttype": "none"}),
        atomic_file(path, overwrite=True) as draft,
    ):
        figure.savefig(draft, format="svg", metadata={"Date": None})
