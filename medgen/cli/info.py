"""`medgen info`: facts of images and concepts, what is wrong with lists; makes manifests."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medgen.cli.options import Frame, Json, Overwrite, OwnSeed, Series
from medgen.cli.progress import watched
from medgen.cli.voice import say
from medgen.errors import InputError, UsageError

if TYPE_CHECKING:
    from medgen.tasks.info import ImageFacts, Info, ManifestFacts
    from medgen.tasks.weaving.concept_info import ConceptFacts


def info(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Images, DICOM folders, concepts, manifests; lists in CSV or MONAI's JSON.",
        ),
    ],
    with_shifts: Annotated[
        bool | None,
        typer.Option(
            "--shifts/--no-shifts",
            help="Measure how far apart CT and MRI are; on, unless -o is given.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="FILE|DIR", help="Write the list of studies as a manifest."
        ),
    ] = None,
    renaming: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="NAME=KEY", help="What a column is, image=mri:t1; NAME= leaves it out."
        ),
    ] = None,
    shares: Annotated[
        str | None,
        typer.Option(
            "--shares",
            metavar="A,B,C",
            help="Split by patient: train, validation and test in percent, 80,10,10.",
        ),
    ] = None,
    seed: OwnSeed = None,
    replace_splits: Annotated[
        bool, typer.Option("--replace-splits", help="Draw anew what is in a split already.")
    ] = False,
    series: Series = None,
    frame: Frame = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Tell what is in a file, and what is wrong with a manifest."""
    from medgen.data.columns import parse_renaming
    from medgen.data.splits import Shares
    from medgen.tasks.batch import Done, Failed, Item, conclude, run_batch
    from medgen.tasks.info import info as run
    from medgen.tasks.manifest import ManifestConfig, make_manifest

    names = parse_renaming(renaming or [])
    drawn = Shares.parse(shares) if shares is not None else None
    config = ManifestConfig(names, drawn, seed, replace_splits, overwrite)
    if out:
        if len(files) > 1:
            raise UsageError("-o writes one list of studies; give one FILE")
        files, names = [make_manifest(files[0], out, config)], {}
    elif drawn or overwrite:
        raise UsageError("--shares and --overwrite are for a manifest that is written; add -o FILE")
    if len(files) > 1 and (series is not None or frame is not None):
        raise UsageError("--series and --frame belong to one image; name it alone")
    is_measured = out is None if with_shifts is None else with_shifts

    def look(item: Item) -> "Info":
        return run(
            item.path,
            with_shifts=is_measured,
            renaming=names,
            series=series,
            frame=frame,
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
    if found.concept:
        yield from (f"  {row}" for row in _concept(found.concept))


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


def _concept(facts: "ConceptFacts") -> Iterator[str]:
    card = facts.card
    yield f"concept      {card.name}, of {card.kind}"
    yield f"says         {card.says}"
    made = f"{card.steps} steps of training" if card.steps else "of the encoders' tokens, instantly"
    yield f"made         {made}, seed {card.seed}, medgen {card.medgen}"
    yield f"examples     {card.bank.examples}"
    for name, look in facts.looks.items():
        yield f"{name:<13}{look.mean:.4g} ± {look.spread:.3g} {facts.unit}"
    seen = "unknown" if card.spacing is None else f"{card.spacing:.4g} mm, as the flow saw them"
    yield f"spacing      {seen}"
    yield f"data         {card.data or 'not said'}"
    yield f"licence      {card.licence or 'not said'}"
    named = f", of the bundled {facts.model}" if facts.model else ", of no bundled model"
    yield f"flow         {card.base}{named}"
    yield f"changes      {facts.layers} layers of cross-attention; {facts.bytes} bytes"
    yield f"for          {card.intended_use}"
    yield f"sha256       {facts.sha256}"


def _times(numbers: tuple[int | float, ...]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)
