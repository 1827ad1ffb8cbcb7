"""`medgen weave`: a scan and concepts in, the scan with the concepts in their regions out."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from medgen.cli.options import (
    Config,
    Device,
    Force,
    Json,
    Model,
    Overwrite,
    OwnSeed,
    RecordTo,
    Set,
    SkipExisting,
    check_overwrite,
)


def weave(
    scan: Annotated[
        str,
        typer.Argument(metavar="[KIND=]SCAN", help="The scan; or a manifest, with --recipe."),
    ],
    concepts: Annotated[
        list[str] | None,
        typer.Option(
            "--concept",
            metavar="FILE[=MASK]",
            help="A concept and where it goes; without a mask, the next --box or --region.",
        ),
    ] = None,
    boxes: Annotated[
        list[str] | None,
        typer.Option("--box", metavar="A,B,…", help="First and last voxel along each axis."),
    ] = None,
    regions: Annotated[
        list[str] | None,
        typer.Option("--region", metavar="NAME", help="A region of --labels, by its name."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="A label map of the scan, for --region."),
    ] = None,
    others: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="[KIND=]SCAN=MASK",
            help="Another scan of the patient, and the region of it that is woven.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="TXT", help="The study's report; a copy says what was woven."
        ),
    ] = None,
    preview: Annotated[
        Path | None,
        typer.Option("--preview", metavar="PNG", help="Draw scan, mask, result and difference."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", metavar="TOML", help="What goes where at random, for a manifest."),
    ] = None,
    number: Annotated[
        int, typer.Option("-n", "--number", min=1, metavar="N", help="Scans of a --recipe.")
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE|DIR", help="The woven scan; beside it if not."),
    ] = None,
    fusion: Annotated[
        Literal["attention", "estimate"] | None,
        typer.Option("--fusion", help="Where concepts meet: in features, or in clean estimates."),
    ] = None,
    says: Annotated[
        str | None,
        typer.Option("--says", metavar="TEXT", help="What the images show, in words of training."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, metavar="N", help="Steps of the sampler.")
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option("--guidance", metavar="S", help="How hard it is pushed; 1 does not push."),
    ] = None,
    suppression: Annotated[
        float | None,
        typer.Option("--suppression", metavar="L", help="Push features away from plain ones."),
    ] = None,
    features: Annotated[
        float | None,
        typer.Option("--features", metavar="P", help="Share of steps that keep the layout."),
    ] = None,
    attention: Annotated[
        float | None,
        typer.Option("--attention", metavar="P", help="The same of self-attention."),
    ] = None,
    dilate: Annotated[
        float | None,
        typer.Option("--dilate", metavar="MM", help="How far a region may grow."),
    ] = None,
    feather: Annotated[
        float | None,
        typer.Option("--feather", metavar="MM", help="How wide a region's edge fades."),
    ] = None,
    force: Force = False,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    model: Model = None,
    device: Device = None,
    seed: OwnSeed = None,
    config: Config = None,
    settings: Set = None,
    record: RecordTo = None,
    as_json: Json = False,
) -> None:
    """Place learned concepts, or regions of other scans, in a scan.

    Concepts are made by `medgen weave learn`, which has a --help of its own.
    """
    from medgen.cli.weave_run import Where, can_be_completed, is_woven, run_recipe, run_weave
    from medgen.cli.weave_with_run import refuse_others, run_with
    from medgen.config import resolve
    from medgen.errors import UsageError
    from medgen.tasks.weave import WeaveConfig
    from medgen.tasks.weaving.from_scans import WithConfig

    shared = {
        "dilate": dilate,
        "feather": feather,
        "force": force or None,
        "overwrite": overwrite or None,
        "model": model,
        "device": device,
    }
    own = {
        "fusion": fusion,
        "text": says,
        "steps": steps,
        "guidance": guidance,
        "suppression": suppression,
        "features": features,
        "attention": attention,
    }
    if recipe is not None and (report is not None or preview is not None):
        raise UsageError("--report and --preview: are for one scan; leave them out of a recipe")
    if recipe is None and (number > 1 or seed is not None):
        raise UsageError("-n and --seed: choose scans of a --recipe; name one")
    if labels is not None and not regions:
        raise UsageError("--labels: is where a --region is looked up; name one")
    where = Where(concepts or [], boxes or [], regions or [], labels)
    if others:
        refuse_others(where.typed | {"report": report, "recipe": recipe, "says": says} | own)
        fitting = resolve(WithConfig, file=config, settings=settings or (), flags=shared)
        check_overwrite(overwrite=fitting.overwrite, skip_existing=skip_existing)
        if skip_existing and is_woven(scan, out, preview=preview):
            return
        if skip_existing and can_be_completed(scan, out):
            fitting = replace(fitting, overwrite=True)
        lines = run_with(scan, others, fitting, out=out, preview=preview, record=record)
    else:
        resolved = resolve(WeaveConfig, file=config, settings=settings or (), flags=own | shared)
        check_overwrite(overwrite=resolved.overwrite, skip_existing=skip_existing)
        if recipe is None and skip_existing:
            if is_woven(scan, out, report=report, preview=preview):
                return
            if can_be_completed(scan, out):
                resolved = replace(resolved, overwrite=True)
        lines = (
            run_weave(scan, where, resolved, out=out, report=report, preview=preview, record=record)
            if recipe is None
            else run_recipe(
                Path(scan),
                recipe,
                where,
                resolved,
                out=out,
                number=number,
                seed=seed or 0,
                skip_existing=skip_existing,
                record=record,
            )
        )
    for line in lines:
        typer.echo(json.dumps(line) if as_json else line["output"])
