"""`medgen info`: facts about images, and what is wrong with manifests."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medgen.cli.options import Json
from medgen.cli.progress import watched
from medgen.cli.voice import say
from medgen.errors import InputError

if TYPE_CHECKING:
    from medgen.tasks.info import ImageFacts, Info, ManifestFacts


def info(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Images, DICOM folders or manifests.")
    ],
    with_shifts: Annotated[
        bool,
        typer.Option("--shifts/--no-shifts", help="Measure how far apart CT and MRI are."),
    ] = True,
    as_json: Json = False,
) -> None:
    """Tell what is in a file, and what is wrong with a manifest."""
    from medgen.tasks.batch import Done, Failed, Item, conclude, run_batch
    from medgen.tasks.info import info as run

    def look(item: Item) -> "Info":
        return run(
            item.path,
            with_shifts=with_shifts,
            watch=lambda lines: watched(lines, "measure", total=len(lines)),
        )

    results = list(run_batch([Item(str(path), path) for path in files], look))
    for result in results:
        if isinstance(result, Failed):
            if len(files) > 1:
                say(f"error: {result.error}")
        elif as_json:
            typer.echo(result.value.to_json(indent=None if len(files) > 1 else 2))
        else:
            typer.echo("\n".join(_lines(result.value)))
    conclude(results)
    if any(result.value.problems for result in results if isinstance(result, Done)):
        raise typer.Exit(InputError.exit_code)


def _lines(found: "Info") -> Iterator[str]:
    yield str(found.path)
    if found.image:
        yield from (f"  {row}" for row in _image(found.image))
    if found.manifest:
        yield from (f"  {row}" for row in _manifest(found.manifest))


def _image(facts: "ImageFacts") -> Iterator[str]:
    yield f"format       {facts.format}"
    yield f"kind         {facts.kind or 'not said by the file'}"
    yield f"voxels       {_times(facts.shape)} {facts.dtype}"
    yield (
        f"spacing      {_times(facts.spacing_mm)} mm"
        if facts.spacing_mm
        else "spacing      unknown"
    )
    if facts.size_mm:
        yield f"size         {_times(facts.size_mm)} mm"
    if facts.orientation:
        yield f"orientation  {facts.orientation}"
    low, _, middle, _, high = facts.intensity
    yield f"intensity    {low:g} to {high:g}, median {middle:g} {facts.unit or ''}".rstrip()
    yield f"sha256       {facts.sha256}"


def _manifest(facts: "ManifestFacts") -> Iterator[str]:
    yield f"studies      {facts.studies} of {facts.patients} patients"
    for title, counts in (("images", facts.kinds), ("splits", facts.splits)):
        yield f"{title:<13}" + ", ".join(f"{count} {name}" for name, count in counts.items())
    for shift in facts.shifts:
        far = "  warning: above 2 mm, train with --register rigid" if shift.is_far else ""
        turn = f"{shift.mm:.1f} mm, {shift.rotation_degrees:.1f} degrees"
        yield f"shift        {shift.study}: {shift.kind} to ct {turn}{far}"
    for problem in facts.problems:
        yield f"problem      {problem}"


def _times(numbers: tuple[int | float, ...]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)
