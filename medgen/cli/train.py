"""`medgen train`: studies and label maps in, a model folder out."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from medgen.cli.options import Config, Device, DryRun, Json, OwnSeed, RecordTo, Set
from medgen.errors import UsageError


def train(
    manifest: Annotated[
        Path | None,
        typer.Argument(metavar="[MANIFEST]", help="The studies to learn from, as JSON Lines."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="The run: snapshots, log, model."),
    ] = None,
    round_: Annotated[
        str,
        typer.Option(
            "--round",
            metavar="NAME",
            help="Of: translator, codec:xray|ct|mri|text, flow:xray|ct|mri|text, text-xray, "
            "text-ct, ct-mri, report:finder, report:spots, report:words, retrieval, instruct, "
            "each [:ct|mri], refine:xray|ct|mri.",
        ),
    ] = "translator",
    preset: Annotated[
        str, typer.Option("--preset", metavar="tiny|base|paper", help="How large the network is.")
    ] = "base",
    size: Annotated[
        float, typer.Option("--size", metavar="F", help="Multiplies all widths of the preset.")
    ] = 1.0,
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
    complete_pairs: Annotated[
        bool,
        typer.Option("--complete-pairs", help="Make the images that studies of a round lack."),
    ] = False,
    max_reuse: Annotated[
        int | None,
        typer.Option(
            "--max-reuse", min=1, metavar="N", help="How often a study may be others' context."
        ),
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
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", help="Keeps images as encoders take them."),
    ] = None,
    dry_run: DryRun = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    seed: OwnSeed = None,
    device: Device = None,
    config: Config = None,
    settings: Set = None,
    record: RecordTo = None,
    as_json: Json = False,
) -> None:
    """Train a translator, a codec, a flow or what reports."""
    from medgen.cli.train_run import run_training
    from medgen.tasks.rounds import round_named

    chosen = round_named(round_)
    fit = {"steps": steps, "minutes": minutes, "seed": seed, "device": device}
    flags: dict[str, Any] = {
        "labels": str(labels) if labels else None,
        "hold_out": tuple(hold_out.split(",")) if hold_out else None,
        "init": init,
        "freeze": tuple(freeze) if freeze else None,
        "register": register,
        "allow_outside": allow_outside or None,
        "complete_pairs": complete_pairs or None,
        "max_reuse": max_reuse,
        "cache": str(cache) if cache else None,
        "card": str(card) if card else None,
        "fit": {key: value for key, value in fit.items() if value is not None},
    }
    given = {key: value for key, value in flags.items() if value is not None}
    if odd := sorted(given.keys() - set(chosen.options)):
        raise UsageError(f"--{odd[0].replace('_', '-')} is not for --round {round_}")
    resolved = chosen.settle(
        preset=preset, size=size, file=config, settings=tuple(settings or ()), flags=given
    )
    folder = out or Path("runs") / round_.replace(":", "-")
    if dry_run:
        if record is not None:
            raise UsageError("--record is of a run; --dry-run makes none")
        from medgen.tasks.rehearsal import rehearse

        plan = rehearse(round_, resolved, manifest)
        typer.echo(json.dumps(plan.as_json()) if as_json else "\n".join(plan.lines))
        return
    if manifest is None and chosen.needs_manifest:
        raise UsageError(f"--round {round_} learns from studies; name their manifest")
    steps_done = chosen.run(resolved, folder, manifest=manifest, resume=resume)
    maps = getattr(resolved, "labels", None)  # only a round that simulates has them
    result = run_training(
        "train",
        resolved,
        steps_done,
        folder,
        manifest=manifest,
        resume=resume,
        record=record,
        labels=Path(maps) if maps else None,
    )
    if result:
        typer.echo(json.dumps(result) if as_json else result["model"])
