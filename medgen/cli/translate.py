"""`medgen translate`: one modality in, another out, on the same grid."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from medgen.cli.options import (
    Config,
    Device,
    Force,
    Frame,
    Jobs,
    Json,
    Model,
    Out,
    Overwrite,
    OwnSeed,
    Preview,
    RecordTo,
    Refine,
    Series,
    Set,
    ShardOf,
    SkipExisting,
    check_overwrite,
)
from medgen.errors import UsageError


def translate(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT…", help="Volumes, DICOM folders, or a manifest.jsonl."),
    ],
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="KIND", help="ct, mri:t1, …, mri:pd, or xray."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="KIND", help="What the inputs are, if files do not say."),
    ] = None,
    companions: Annotated[
        list[Path] | None,
        typer.Option("--with", metavar="FILE", help="Another image of the same patient."),
    ] = None,
    view: Annotated[
        Literal["pa", "ap", "lateral"] | None,
        typer.Option("--view", help="Of a radiograph; from the left if lateral."),
    ] = None,
    engine: Annotated[
        Literal["regress", "diffuse", "flow"] | None,
        typer.Option(
            "--engine", help="One evaluation, a diffusion sampler, or the flows of --model."
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, metavar="N", help="Evaluations a sample.")
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("--samples", min=1, metavar="K", help="Write the mean of K, and their sigma."),
    ] = None,
    refine: Refine = False,
    series: Series = None,
    frame: Frame = None,
    keep_patient: Annotated[
        bool, typer.Option("--keep-patient", help="DICOM: keep the patient's identity.")
    ] = False,
    out: Out = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    force: Force = False,
    preview: Preview = None,
    model: Model = None,
    device: Device = None,
    seed: OwnSeed = None,
    jobs: Jobs = 1,
    shard: ShardOf = None,
    config: Config = None,
    settings: Set = None,
    record: RecordTo = None,
    as_json: Json = False,
) -> None:
    """Translate between MRI and CT, between MRI contrasts, or to X-ray."""
    from medgen.cli.translate_run import run_translate
    from medgen.config import resolve
    from medgen.tasks.translate import TranslateConfig

    flags = {
        "to": to,
        "source": source,
        "companions": tuple(str(path) for path in companions) if companions else None,
        "view": view,
        "engine": engine,
        "steps": steps,
        "samples": samples,
        "refine": refine or None,
        "series": series,
        "frame": frame,
        "keep_patient": keep_patient or None,
        "overwrite": overwrite or None,
        "force": force or None,
        "model": model,
        "device": device,
        "seed": seed,
    }
    resolved = resolve(TranslateConfig, file=config, settings=settings or (), flags=flags)
    if steps is not None and resolved.engine == "regress":
        raise UsageError("--steps is for --engine diffuse or flow: a regression is one evaluation")
    check_overwrite(overwrite=resolved.overwrite, skip_existing=skip_existing)
    lines = run_translate(
        inputs,
        resolved,
        out=out,
        preview=preview,
        jobs=jobs,
        shard=shard,
        skip_existing=skip_existing,
        record=record,
    )
    for line in lines:
        typer.echo(json.dumps(line) if as_json else line["output"])
