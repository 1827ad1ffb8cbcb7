"""`medgen train`: studies and label maps in, a model folder out."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from medgen.cli.options import Config, Device, Json, OwnSeed, RecordTo, Set


def train(
    manifest: Annotated[
        Path | None,
        typer.Argument(metavar="[MANIFEST]", help="Studies with a CT and an MRI, as JSON Lines."),
    ] = None,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="The run: snapshots, log, model.")
    ] = Path("runs/translator"),
    round_: Annotated[
        str | None, typer.Option("--round", metavar="NAME", help="What to train: translator.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE|DIR",
            help="Head label maps to simulate from; without, heads of formulas.",
        ),
    ] = None,
    hold_out: Annotated[
        str | None,
        typer.Option("--hold-out", metavar="A,B", help="Label maps to leave unseen, by name."),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option("--init", metavar="NAME|DIR", help="A model to start from."),
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option("--freeze", metavar="PART", help="Keep a part as it is: network.down."),
    ] = None,
    register: Annotated[
        str | None,
        typer.Option("--register", metavar="rigid", help="Move each CT onto its MRI first."),
    ] = None,
    allow_outside: Annotated[
        bool, typer.Option("--allow-outside", help="The manifest may name files elsewhere.")
    ] = False,
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
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    seed: OwnSeed = None,
    device: Device = None,
    config: Config = None,
    settings: Set = None,
    record: RecordTo = None,
    as_json: Json = False,
) -> None:
    """Train a translator on simulated heads and real pairs."""
    from medgen.cli.train_run import run_training
    from medgen.config import resolve
    from medgen.tasks.train import TrainConfig
    from medgen.tasks.train import train as run

    fit = {
        "steps": steps,
        "minutes": minutes,
        "seed": seed,
        "device": device,
    }
    flags: dict[str, Any] = {
        "round": round_,
        "labels": str(labels) if labels else None,
        "hold_out": tuple(hold_out.split(",")) if hold_out else None,
        "init": init,
        "freeze": tuple(freeze) if freeze else None,
        "register": register,
        "allow_outside": allow_outside or None,
        "card": str(card) if card else None,
        "fit": {key: value for key, value in fit.items() if value is not None},
    }
    resolved = resolve(TrainConfig, file=config, settings=settings or (), flags=flags)
    steps_done = run(resolved, out, manifest=manifest, resume=resume)
    result = run_training(
        "train", resolved, steps_done, out, manifest=manifest, resume=resume, record=record
    )
    typer.echo(json.dumps(result) if as_json else result["model"])
