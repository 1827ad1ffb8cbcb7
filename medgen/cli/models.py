"""`medgen models`: which models there are, what they are for, and under which licence."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from medgen.checkpoint import Card, bundled_models, model_folder, read_card, verify
from medgen.cli.options import Json
from medgen.config import to_mapping
from medgen.errors import UsageError
from medgen.tasks.directions import directions_of


def models(
    action: Annotated[
        Literal["list", "show"], typer.Argument(help="What to do; `show` checks the files as well.")
    ] = "list",
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME|DIR", help="What to show: a bundled model, or any folder."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the models that come with medgen, or show one."""
    if (action == "show") != (name is not None):
        raise UsageError("write `medgen models` or `medgen models show NAME`")
    if name is None:
        folders = bundled_models().values()
        _print([(folder, read_card(folder)) for folder in folders], as_json=as_json)
    else:
        folder = model_folder(name)
        _print_whole(folder, verify(folder), as_json=as_json)


def _print(found: list[tuple[Path, Card]], *, as_json: bool) -> None:
    if as_json:
        rows = [_row(folder, card) for folder, card in found]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for folder, card in found:
        typer.echo(_paragraph(folder, card))
    if not found:
        typer.echo("no models are bundled with this installation; --model takes a folder")


def _print_whole(folder: Path, card: Card, *, as_json: bool) -> None:
    if as_json:
        values = _row(folder, card) | to_mapping(card)
        typer.echo(json.dumps(values, indent=2, ensure_ascii=False))
        return
    typer.echo(_paragraph(folder, card))
    for line in _details(card):
        typer.echo("  " + line)


def _row(folder: Path, card: Card) -> dict[str, Any]:
    """What a script wants to know of a model."""
    keys = ("name", "version", "task", "summary", "intended_use", "licence", "parts")
    row = {key: to_mapping(card)[key] for key in keys}
    row["parts"] = sorted(card.parts)
    row["directions"] = [
        {"from": str(one.source), "to": str(one.target), "command": f"medgen {one.command}"}
        for one in directions_of(card)
    ]
    return row | {"bytes": _size(folder), "digest": card.digest, "folder": str(folder)}


def _paragraph(folder: Path, card: Card) -> str:
    head = f"{card.name} {card.version}  {card.task}  {_size(folder) / 1e6:.1f} MB"
    lines = [card.summary, *_can(card), f"Intended use: {card.intended_use}"]
    lines.append(f"Licence: {card.licence}")
    return "\n  ".join([head, *filter(None, lines)])


def _can(card: Card) -> list[str]:
    """A line for each command: what it makes of what."""
    cells: dict[str, list[str]] = {}
    for one in directions_of(card):
        cells.setdefault(one.command, []).append(f"{one.source} to {one.target}")
    return [f"{command}: {', '.join(pairs)}" for command, pairs in cells.items()]


def _details(card: Card) -> list[str]:
    lines = [f"Digest: {card.digest}", "Files: intact", f"Training steps: {card.steps}"]
    for name, part in card.parts.items():
        steps = card.extra.get(f"steps-{name}")
        trained = f", trained for {steps} steps" if steps else ""
        lines.append(f"Part {name}: {part.parameters} parameters in {part.file}{trained}")
    if card.training_range:
        (near, far), (small, large) = card.training_range.spacing_mm, card.training_range.fov_mm
        anatomy = ", ".join(card.training_range.anatomy)
        lines.append(f"Trained on: {anatomy}; spacing {near:g}-{far:g} mm, {small:g}-{large:g} mm")
    for data in card.data:
        lines.append(f"Data: {data.name} ({data.licence}). {data.attribution}".rstrip())
    for figure in card.metrics:
        unit = f" {figure.unit}" if figure.unit else ""
        lines.append(f"{figure.name}: {figure.value:g}{unit} on {figure.data} ({figure.date})")
    return lines


def _size(folder: Path) -> int:
    """Bytes of all files of a model."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
