"""`medgen evaluate`: how good synthetic images or encoders are, as a table or as JSON."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from medgen.cli.options import Device, Json, Model
from medgen.cli.progress import watched
from medgen.errors import UsageError

if TYPE_CHECKING:
    from medgen.metrics.bootstrap import Interval
    from medgen.tasks.evaluate import Evaluation

LOGGER = logging.getLogger(__name__)
GALLERY = 100  # studies to find one among
DIGITS = {"mae": 1, "psnr": 2}  # HU and dB; everything else is a share with three


def evaluate(
    pred: Annotated[
        Path, typer.Argument(metavar="PRED", help="Synthetic images: file, folder or manifest.")
    ],
    truth: Annotated[
        Path | None,
        typer.Argument(metavar="[TRUTH]", help="Real images: file, folder or manifest."),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option("--mask", metavar="FILE|DIR", help="Where to compare; the body if not given."),
    ] = None,
    protocol: Annotated[
        Literal["synthrad", "mri", "retrieval", "report"],
        typer.Option("--protocol", help="For CT, for MRI, for encoders, for reports."),
    ] = "synthrad",
    model: Model = None,
    gallery: Annotated[
        int | None,
        typer.Option(
            "--gallery", min=2, metavar="N", help="Studies to find one among; 100 if not given."
        ),
    ] = None,
    split: Annotated[
        Literal["train", "validation", "test"] | None,
        typer.Option("--split", help="Studies of the manifest, for retrieval."),
    ] = None,
    phrases: Annotated[
        list[Path] | None,
        typer.Option("--phrases", metavar="TOML", help="More words of findings, for reports."),
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Measure synthetic images, reports and encoders."""
    if phrases and protocol != "report":
        raise UsageError("--phrases are for --protocol report")
    if protocol == "retrieval":
        if model is None or truth is not None or mask is not None:
            raise UsageError("--protocol retrieval takes one manifest and --model, nothing else")
        _evaluate_retrieval(pred, model, gallery or GALLERY, split, device, as_json)
        return
    if truth is None:
        raise UsageError("name what PRED is compared with: medgen evaluate PRED TRUTH")
    for_encoders = {"model": model, "split": split, "gallery": gallery, "device": device}
    if odd := [name for name, value in for_encoders.items() if value is not None]:
        raise UsageError(f"--{odd[0]} is for --protocol retrieval")
    if protocol == "report":
        if mask is not None:
            raise UsageError("--mask is for images")
        _evaluate_reports(pred, truth, phrases or [], as_json)
        return
    from medgen.tasks.evaluate import evaluate as run

    result = run(
        pred,
        truth,
        mask=mask,
        protocol=protocol,
        watch=lambda pairs: watched(pairs, "evaluate", total=len(pairs)),
    )
    if result.without_prediction:
        LOGGER.warning("%d images of %s have no prediction", len(result.without_prediction), truth)
    if as_json:
        typer.echo(result.to_json())
    else:
        _print(result)


def _evaluate_reports(pred: Path, truth: Path, phrases: list[Path], as_json: bool) -> None:
    """A table of the scores, and one of the findings."""
    from rich.console import Console
    from rich.table import Table

    from medgen.tasks.evaluate_reports import evaluate_reports

    found = evaluate_reports(pred, truth, phrases)
    if found.without_prediction:
        LOGGER.warning("%d reports of %s have no prediction", len(found.without_prediction), truth)
    if as_json:
        typer.echo(found.to_json())
        return
    console = Console(width=None if Console().is_terminal else 160, highlight=False)
    for title, values in (("score", found.scores), ("finding, F1", found.findings)):
        table = Table(title, "value")
        for name, value in values.items():
            table.add_row(name, _number(name, value))
        console.print(table)
    low, high = _number("f1", found.f1_low), _number("f1", found.f1_high)
    typer.echo(f"{found.reports} reports; mean F1 of a report: {low} to {high} (95 %)")
    typer.echo(found.definition)


def _evaluate_retrieval(
    manifest: Path,
    model: str,
    gallery: int,
    split: str | None,
    device: str | None,
    as_json: bool,
) -> None:
    """A row for each pair of modalities and direction, with chance beside it."""
    from rich.console import Console
    from rich.table import Table

    from medgen.data.study import Split
    from medgen.tasks.aligning.retrieval import RetrievalConfig, evaluate_retrieval

    config = RetrievalConfig(
        model, Split(split) if split else None, gallery, device=device or "auto"
    )
    found = evaluate_retrieval(manifest, config)
    if as_json:
        typer.echo(found.to_json())
        return
    table = Table(
        "query", "finds", "among", "R@1", "R@5", "R@10", "median rank", "chance R@5", "gap"
    )
    for pair, agreement in found.pairs.items():
        one, _, other = pair.partition("-")
        for query, item, way in ((one, other, agreement.there), (other, one, agreement.back)):
            recalls = [f"{way.recall[k]:.2f}" for k in (1, 5, 10)]
            rank, chance = str(way.median_rank), f"{way.chance_recall[5]:.2f}"
            table.add_row(
                query, item, str(way.gallery), *recalls, rank, chance, f"{agreement.gap:.2f}"
            )
    width = None if Console().is_terminal else 160
    console = Console(width=width, highlight=False)
    console.print(table)
    if found.choices:
        table = Table("image", "changed fact", "right choice", "95 % interval", "choices")
        for image, by_change in found.choices.items():
            for change, chosen in by_change.items():
                interval = f"{chosen.low:.2f} to {chosen.high:.2f}"
                table.add_row(image, change, f"{chosen.right:.3f}", interval, str(chosen.count))
        console.print(table)
    typer.echo(f"{found.studies} studies; equal reports are equally right")
    typer.echo(f"{found.unseen_words:.1%} of the reports' words are new to the text encoder")


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
