"""`medgen generate`: a text in, images out."""

import json
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
    Refine,
    Set,
    ShardOf,
    SkipExisting,
    check_overwrite,
)
from medgen.errors import UsageError


def generate(
    text: Annotated[
        str | None, typer.Option("--text", metavar="TEXT", help="What the image is to show.")
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option("--texts", metavar="JSONL", help='Many: {"text": …}, one a line.'),
    ] = None,
    modality: Annotated[
        str | None,
        typer.Option(
            "--modality",
            metavar="KIND",
            help="What to make: xray, ct, mri:t1; several with commas.",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="FILE|DIR", help="A file for one, or a folder."),
    ] = Path("out"),
    number: Annotated[
        int | None, typer.Option("-n", "--number", min=1, metavar="N", help="Images of each text.")
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="[KIND=]FILE", help="An image it is to agree with, too."),
    ] = None,
    weights: Annotated[
        list[float] | None,
        typer.Option("--weight", metavar="W", help="How much each --from counts; the text is 1."),
    ] = None,
    references: Annotated[
        list[str] | None,
        typer.Option(
            "--ref",
            metavar="N=FILE[:ROLE]",
            help="What [ref#N] of the text is: look, subject, anatomy, region, context.",
        ),
    ] = None,
    reference_guidance: Annotated[
        float | None,
        typer.Option(
            "--ref-guidance",
            metavar="S",
            help="How hard towards --ref alone, not with the text; 0 ignores it.",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, metavar="N", help="Steps of the sampler.")
    ] = None,
    sampler: Annotated[
        Literal["dpm", "euler", "heun", "ddim"] | None,
        typer.Option("--sampler", help="How it walks from noise to an image."),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option("--guidance", metavar="S", help="How hard it is pushed; 1 does not push."),
    ] = None,
    refine: Refine = False,
    best_of: Annotated[
        int | None,
        typer.Option(
            "--best-of", min=1, metavar="K", help="Make K of each; keep what shows the text best."
        ),
    ] = None,
    file_format: Annotated[
        Literal["png", "nifti", "dicom"] | None,
        typer.Option("--format", help="What to write."),
    ] = None,
    spacing: Annotated[
        float | None,
        typer.Option("--spacing", metavar="MM", help="Voxel size; what suits the body."),
    ] = None,
    unconditional: Annotated[
        bool, typer.Option("--unconditional", help="Allow an empty text: anything common.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a text of which part would be lost.")
    ] = False,
    preview: Annotated[
        Path | None,
        typer.Option("--preview", metavar="PNG", help="Draw all images on one sheet."),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet", metavar="PNG", help="Draw --ref and result, in plain words for a patient."
        ),
    ] = None,
    force: Force = False,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    shard: ShardOf = None,
    model: Model = None,
    device: Device = None,
    seed: OwnSeed = None,
    config: Config = None,
    settings: Set = None,
    record: RecordTo = None,
    as_json: Json = False,
) -> None:
    """Make images that a text describes."""
    from medgen.cli.generate_run import run_generate
    from medgen.config import resolve
    from medgen.tasks.generating.config import GenerateConfig

    flags = {
        "modality": modality,
        "number": number,
        "sources": tuple(sources) if sources else None,
        "weights": tuple(weights) if weights else None,
        "references": tuple(references) if references else None,
        "reference_guidance": reference_guidance,
        "steps": steps,
        "sampler": sampler,
        "guidance": guidance,
        "refine": refine or None,
        "best_of": best_of,
        "format": file_format,
        "spacing": spacing,
        "unconditional": unconditional or None,
        "strict": strict or None,
        "force": force or None,
        "overwrite": overwrite or None,
        "model": model,
        "device": device,
        "seed": seed,
    }
    resolved = resolve(GenerateConfig, file=config, settings=settings or (), flags=flags)
    if resolved.reference_guidance is not None and not resolved.references and texts is None:
        raise UsageError("--ref-guidance is for references; give --ref")
    check_overwrite(overwrite=resolved.overwrite, skip_existing=skip_existing)
    lines = run_generate(
        text,
        texts,
        resolved,
        out=out,
        preview=preview,
        sheet=sheet,
        shard=shard,
        skip_existing=skip_existing,
        record=record,
    )
    for line in lines:
        typer.echo(json.dumps(line) if as_json else line["output"])
