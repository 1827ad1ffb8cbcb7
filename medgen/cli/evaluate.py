"""`medgen evaluate`: how good synthetic images are, as a table or as JSON."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from medgen.cli.options import Json
from medgen.cli.progress import watched
from medgen.cli.voice import say

if TYPE_CHECKING:
    from medgen.metrics.bootstrap import Interval
    from medgen.tasks.evaluate import Evaluation

DIGITS = {"mae": 1, "psnr": 2}  # HU and dB; everything else is a share with three


def evaluate(
    pred: Annotated[
        Path, typer.Argument(metavar="PRED", help="Synthetic images: file, folder or manifest.")
    ],
    truth: Annotated[
        Path, typer.Argument(metavar="TRUTH", help="Real images: file, folder or manifest.")
    ],
    mask: Annotated[
        Path | None,
        typer.Option("--mask", metavar="FILE|DIR", help="Where to compare; the body if not given."),
    ] = None,
    protocol: Annotated[
        Literal["synthrad", "mri"],
        typer.Option("--protocol", help="What to compute: synthrad for CT, mri for MRI."),
    ] = "synthrad",
    as_json: Json = False,
) -> None:
    """Compare synthetic images with real ones."""
    from medgen.tasks.evaluate import evaluate as run

    result = run(
        pred,
        truth,
        mask=mask,
        protocol=protocol,
        watch=lambda pairs: watched(pairs, "evaluate", total=len(pairs)),
    )
    if result.without_prediction:
        say(f"{len(result.without_prediction)} studies of {truth} have no prediction")
    if as_json:
        typer.echo(result.to_json())
    else:
        _print(result)


def _print(result: "Evaluation") -> None:
    """A table for people: a row a study, and the mean over patients below."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("study", show_footer=False)
    for metric in result.summary:
        table.add_column(metric, justify="right")
    for row in result.rows:
        cells = [_number(metric, value) for metric, value in row.scores.items()]
        table.add_row(Text(row.study), *cells)
    table.add_section()
    patients = max(found.count for found in result.summary.values())
    table.add_row(
        f"mean of {patients}", *(_number(m, found.mean) for m, found in result.summary.items())
    )
    table.add_row("SD", *(_number(m, found.sd) for m, found in result.summary.items()))
    table.add_row("95 % interval", *(_interval(m, found) for m, found in result.summary.items()))
    width = None if Console().is_terminal else 160
    Console(width=width, highlight=False).print(table)
    typer.echo(f"{result.definition}\nmask: {result.mask}")


def _interval(metric: str, found: "Interval") -> str:
    low, high = _number(metric, found.low), _number(metric, found.high)
    return f"{low} to {high}" if "-" not in (low, high) else "-"


def _number(metric: str, value: float) -> str:
    if value != value:  # NaN: the metric does not apply
        return "-"
    return f"{value:.{DIGITS.get(metric.partition('_')[0], 3)}f}"
