"""`medgen report`: the images of a study in, a table of findings and the prose of it out."""

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
    Set,
    ShardOf,
    SkipExisting,
    check_overwrite,
)
from medgen.errors import UsageError


def report(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="[KIND=]IMAGE…",
            help="The images of one study; or one manifest or folder, a report each.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE|DIR",
            help="A .txt, .json or .dcm, or a folder for many; the text is printed without.",
        ),
    ] = None,
    file_format: Annotated[
        Literal["txt", "json", "dcm"] | None,
        typer.Option("--format", help="What to write."),
    ] = None,
    engine: Annotated[
        Literal["tokens", "latent"] | None,
        typer.Option("--engine", help="A writer that is read back, or a flow of reports."),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            "--prior", metavar="IMAGE|TXT|JSON", help="The patient's last image or report."
        ),
    ] = None,
    indication: Annotated[
        str | None,
        typer.Option("--indication", metavar="TEXT", help="Why the images were made."),
    ] = None,
    evidence: Annotated[
        Path | None,
        typer.Option("--evidence", metavar="DIR", help="Write maps of what findings rest on."),
    ] = None,
    operating_point: Annotated[
        float | None,
        typer.Option(
            "--operating-point",
            metavar="P",
            help="Share of normal studies that may be told a finding, 0.01 to 0.4; if not given, "
            "0.05, and only what is likelier than not is told.",
        ),
    ] = None,
    decoding: Annotated[
        Literal["beam", "nucleus"] | None,
        typer.Option("--decoding", help="The likeliest words, or drawn ones."),
    ] = None,
    length: Annotated[
        float | None,
        typer.Option("--length", metavar="A", help="Above 1 prefers longer texts; below, shorter."),
    ] = None,
    number: Annotated[
        int | None,
        typer.Option("-n", "--number", min=1, metavar="N", help="Wordings to choose from."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, metavar="N", help="Of the latent engine.")
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option("--guidance", metavar="S", help="How hard it is pushed; 1 does not push."),
    ] = None,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="The images may be of several patients.")
    ] = False,
    keep_patient: Annotated[
        bool, typer.Option("--keep-patient", help="DICOM: keep the patient's identity.")
    ] = False,
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
    """Report what images show: a table that can be checked, and prose."""
    from medgen.cli.report_run import run_report
    from medgen.config import resolve
    from medgen.tasks.reporting.config import ReportConfig

    flags = {
        "engine": engine,
        "prior": prior,
        "indication": indication,
        "operating_point": operating_point,
        "decoding": decoding,
        "length": length,
        "number": number,
        "steps": steps,
        "guidance": guidance,
        "allow_mixed": allow_mixed or None,
        "keep_patient": keep_patient or None,
        "force": force or None,
        "overwrite": overwrite or None,
        "model": model,
        "device": device,
        "seed": seed,
    }
    resolved = resolve(ReportConfig, file=config, settings=settings or (), flags=flags)
    by_engine: dict[str, dict[str, object]] = {
        "tokens": {"decoding": decoding, "length": length},
        "latent": {"steps": steps, "guidance": guidance},
    }
    for other in by_engine.keys() - {resolved.engine}:
        if odd := [name for name, value in by_engine[other].items() if value is not None]:
            raise UsageError(f"--{odd[0]} is for --engine {other}")
    if file_format is not None and out is None:
        raise UsageError("--format is of files; name one, or a folder, with -o")
    check_overwrite(overwrite=resolved.overwrite, skip_existing=skip_existing)
    lines = run_report(
        inputs,
        resolved,
        out=out,
        ending=f".{file_format}" if file_format else None,
        evidence=evidence,
        shard=shard,
        skip_existing=skip_existing,
        record=record,
    )
    for line in lines:
        typer.echo(json.dumps(line.as_json()) if as_json else line.said, nl=line.is_line or as_json)
