"""Options that mean the same in every command; a command picks the ones it obeys."""

from pathlib import Path
from typing import Annotated

import typer

from medgen.errors import UsageError

_SEED = typer.Option(
    "--seed", min=0, metavar="N", help="Seed of the first sample, or of the split."
)
Seed = Annotated[int, _SEED]
OwnSeed = Annotated[int | None, _SEED]
"""The seed of a command with `--config`: None, not typed, leaves the decision to the file."""
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda[:N]|mps",
        help="Where to compute; auto if not given. A device that is named and absent is an error.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME|DIR",
        help="A bundled model (base translates), or the folder of any other.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings from a TOML or JSON file."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting; stronger than --config."),
]
RecordTo = Annotated[
    Path | None,
    typer.Option(
        "--record",
        metavar="FILE",
        help="Write what the run did as JSON: versions, hashes, times; no names of inputs.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--out",
        metavar="FILE|DIR",
        help="Where the result goes; a name with a known ending is a file, else a folder.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")]
SkipExisting = Annotated[
    bool,
    typer.Option("--skip-existing", help="Leave out inputs of which all that is asked for exists."),
]
ShardOf = Annotated[
    str | None,
    typer.Option(
        "--shard", metavar="I/N", help="Do only the I-th of N parts of the inputs; from 1."
    ),
]
Jobs = Annotated[
    int,
    typer.Option("--jobs", min=1, metavar="N", help="Work on this many inputs at once."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check the inputs and say what would be done.")
]
Series = Annotated[
    str | None,
    typer.Option("--series", metavar="UID", help="Which series of a DICOM folder."),
]
Frame = Annotated[
    int | None,
    typer.Option("--frame", min=0, metavar="N", help="Which volume of a 4-D file; from 0."),
]
Preview = Annotated[
    Path | None,
    typer.Option("--preview", metavar="PNG", help="Draw source and result side by side."),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Go on, with a warning, where an input is unlike the training data."
    ),
]
Refine = Annotated[
    bool, typer.Option("--refine", help="Make fine details with a refiner: --round refine.")
]


def check_overwrite(*, overwrite: bool, skip_existing: bool) -> None:
    """Raises UsageError if results that exist are to be replaced and left out."""
    if overwrite and skip_existing:
        raise UsageError("--overwrite and --skip-existing contradict each other")
