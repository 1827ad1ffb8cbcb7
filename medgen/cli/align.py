"""`medgen align`: studies with reports in, encoders that agree out."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from medgen.cli.options import Config, Device, Json, OwnSeed, RecordTo, Set
from medgen.errors import UsageError

FOLDER = Path("runs/align")  # of the run, if nobody names one


def align(
    manifest: Annotated[
        Path,
        typer.Argument(metavar="MANIFEST", help="Studies with reports and images, JSON Lines."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="DIR", help="The run: snapshots, log, model; else runs/align."
        ),
    ] = None,
    init: Annotated[
        str | None, typer.Option("--init", metavar="NAME|DIR", help="A model to start from.")
    ] = None,
    train: Annotated[
        str | None,
        typer.Option("--train", metavar="LIST", help="Encoders that learn: of text,xray,ct,mri."),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option("--pairs", metavar="hub|all", help="What meets: all with the text, or all."),
    ] = None,
    max_bad: Annotated[
        float | None,
        typer.Option(
            "--max-bad", min=0, max=1, metavar="SHARE", help="Stop if more cannot be read."
        ),
    ] = None,
    allow_outside: Annotated[
        bool, typer.Option("--allow-outside", help="The manifest may name files elsewhere.")
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", help="Keeps images as encoders take them."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, metavar="N", help="Steps in all.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", metavar="M", help="Stop after so long.")
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option("--card", metavar="TOML", help="Name, summary and licences of the model."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="NPZ", help="Train nothing: embeddings of the studies, by --init."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    seed: OwnSeed = None,
    device: Device = None,
    config: Config = None,
    settings: Set = None,
    record: RecordTo = None,
    as_json: Json = False,
) -> None:
    """Train encoders in which text, X-ray, CT and MRI meet."""
    from medgen.cli.train_run import run_training
    from medgen.config import resolve
    from medgen.tasks.align import align as run
    from medgen.tasks.aligning.config import AlignConfig

    if export is not None:
        given = {
            "--out": out,
            "--train": train,
            "--steps": steps,
            "--minutes": minutes,
            "--resume": resume or None,
            "--pairs": pairs,
            "--seed": seed,
            "--cache": cache,
            "--card": card,
            "--config": config,
            "--set": settings or None,
            "--record": record,
        }
        _export(manifest, init, export, given, max_bad, allow_outside, device, as_json=as_json)
        return
    fit = {"steps": steps, "minutes": minutes, "seed": seed, "device": device}
    flags: dict[str, Any] = {
        "init": init,
        "train": tuple(filter(None, train.split(","))) if train is not None else None,
        "pairs": pairs,
        "max_bad": max_bad,
        "allow_outside": allow_outside or None,
        "cache": str(cache) if cache else None,
        "card": str(card) if card else None,
        "fit": {key: value for key, value in fit.items() if value is not None},
    }
    resolved = resolve(AlignConfig, file=config, settings=settings or (), flags=flags)
    folder = out or FOLDER
    done = run(resolved, folder, manifest=manifest, resume=resume)
    result = run_training(
        "align", resolved, done, folder, manifest=manifest, resume=resume, record=record
    )
    if result:
        typer.echo(json.dumps(result) if as_json else result["model"])


def _export(
    manifest: Path,
    model: str | None,
    out: Path,
    training: Mapping[str, object],
    max_bad: float | None,
    allow_outside: bool,
    device: str | None,
    *,
    as_json: bool,
) -> None:
    from medgen.tasks.aligning.embeddings import export_embeddings
    from medgen.tasks.aligning.retrieval import RetrievalConfig

    if wrong := [name for name, value in training.items() if value is not None]:
        raise UsageError(f"--export trains nothing; leave {' and '.join(wrong)} out")
    if model is None:
        raise UsageError("--export needs encoders; name them with --init")
    config = RetrievalConfig(model, allow_outside=allow_outside)
    config = replace(config, max_bad=config.max_bad if max_bad is None else max_bad)
    config = replace(config, device=device or config.device)
    count = export_embeddings(manifest, config, out)
    typer.echo(json.dumps({"embeddings": str(out), "studies": count}) if as_json else str(out))
