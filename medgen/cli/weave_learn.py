"""`medgen weave learn`: images and masks in, a concept out."""

import json
from pathlib import Path
from typing import Annotated

import typer

from medgen.cli.options import (
    Config,
    Device,
    Json,
    Model,
    Overwrite,
    OwnSeed,
    RecordTo,
    Set,
)
from medgen.errors import UsageError


def weave_learn(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="[KIND=]IMAGE…", help="Images that show it, 3 to 15; or one manifest."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="FILE", help="The concept; ends in .concept."),
    ],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="What it is called: nodule, for one.")
    ],
    masks: Annotated[
        list[Path] | None,
        typer.Option(
            "--masks", metavar="FILE|DIR", help="Where it is: a mask for each image, or a folder."
        ),
    ] = None,
    priors: Annotated[
        list[str] | None,
        typer.Option(
            "--prior-image", metavar="IMAGE", help="An image of its class; made if none is given."
        ),
    ] = None,
    instant: Annotated[
        bool, typer.Option("--instant", help="Of the encoders' tokens, without training.")
    ] = False,
    says: Annotated[
        str | None,
        typer.Option("--says", metavar="TEXT", help="What the images show, in words of training."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, metavar="N", help="Steps of training.")
    ] = None,
    most: Annotated[
        int, typer.Option("--most", min=1, metavar="N", help="Examples to take of a manifest.")
    ] = 12,
    licence: Annotated[
        str | None, typer.Option("--licence", metavar="SPDX", help="Licence of the images.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="TEXT", help="Where the images come from.")
    ] = None,
    overwrite: Overwrite = False,
    model: Model = None,
    device: Device = None,
    seed: OwnSeed = None,
    config: Config = None,
    settings: Set = None,
    record: RecordTo = None,
    as_json: Json = False,
) -> None:
    """Learn a concept of a few images, as one small file."""
    from medgen.cli.weave_learn_run import run_learn
    from medgen.config import resolve
    from medgen.tasks.weaving.learn import LearnConfig

    flags = {
        "name": name,
        "says": says,
        "instant": instant or None,
        "steps": steps,
        "licence": licence,
        "data": data,
        "model": model,
        "device": device,
        "seed": seed,
    }
    if instant and steps is not None:
        raise UsageError("--steps is of a concept that is trained; an --instant one takes none")
    resolved = resolve(LearnConfig, file=config, settings=settings or (), flags=flags)
    made = run_learn(
        images,
        resolved,
        out=out,
        masks=masks or [],
        priors=priors or [],
        most=most,
        overwrite=overwrite,
        record=record,
    )
    typer.echo(json.dumps(made) if as_json else made["output"])
