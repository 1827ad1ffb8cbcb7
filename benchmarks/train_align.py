"""Train the encoders: the commands, in order, and nothing hidden between them.

Patients in words teach the text encoder to read; then it stays as it is. Patches of simulated
patients teach the convolutions of CT and MRI what findings look like; then what reads their
features learns to meet the text. Radiographs are small enough to learn both at once. Two processes
run at a time, a core each; the four encoders are joined at the end. Stopped at any moment, the same
command continues.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.chains import Line, run_chains, shown
from benchmarks.data import HELD_OUT_HEADS, data_option
from benchmarks.join import join
from medgen.data.manifest import read_manifest, write_manifest

CARD = Path(__file__).with_name("align_card.toml")
FIT = {"fit.ema_decay": "0.99", "fit.warmup": "50"}


@dataclass(frozen=True)
class Studies:
    """One run of `medgen phantom`.

    Attributes:
        name: Of its folder.
        options: Besides `-o` and the label maps.
        labels: Folder of the label maps in `out`; None for bodies of formulas.
    """

    name: str
    options: str
    labels: str | None = None


@dataclass(frozen=True)
class Phase:
    """One run of `medgen align`.

    Attributes:
        name: Of its folder, in `out/encoders`.
        encoder: What it trains.
        manifest: Of its studies, in `out`.
        steps: How many.
        settings: What differs from the defaults.
        init: The phase whose encoders it starts from.
    """

    name: str
    encoder: str
    manifest: str
    steps: int
    settings: dict[str, str]
    init: "Phase | None" = None


STUDIES = (
    Studies(
        "align-heads",
        "--anatomy head --with text,ct,mri --contrasts t1,t2,flair --spacing 1.5 --masks -n 900 "
        "--seed 101",
        "training-heads",
    ),
    Studies("align-chests", "--anatomy thorax --with text,xray,ct --masks -n 900 --seed 201"),
    Studies(
        "align-thorax", "--anatomy thorax --with text,xray,ct --masks -n 300 --seed 202", "thorax"
    ),
)
ROUNDS = "3"  # of counterfactual reports
TEXT = Phase(
    "text",
    "text",
    "words/manifest.jsonl",
    700,
    {"fit.batch": "64", "fit.learning_rate": "1.5e-3", "fit.seed": "1"},
)
PATCH = {"patch": "24", "fit.batch": "48", "fit.learning_rate": "4e-3"}
PATCH |= {"fit.ema_decay": "0.98", "fit.warmup": "30"}
WHOLE = {"decoys": "12", "invariant": "0", "fit.batch": "32", "fit.learning_rate": "1e-3"}
CELLS = {"decoys": "12", "invariant": "0", "fit.batch": "64", "fit.learning_rate": "2e-3"}
CELLS |= {"cells": "3", "grounding": "0"}
FEATURES = (
    Phase("ct-patches", "ct", "bodies.jsonl", 1500, PATCH, TEXT),
    Phase("mri-patches", "mri", "heads.jsonl", 1500, PATCH, TEXT),
)
IMAGES = (
    Phase("xray", "xray", "chests.jsonl", 1500, WHOLE, TEXT),
    Phase("ct", "ct", "bodies.jsonl", 1000, CELLS, FEATURES[0]),
    Phase("mri", "mri", "heads.jsonl", 700, CELLS, FEATURES[1]),
)
MANIFESTS = {
    "heads.jsonl": ("align-heads",),
    "chests.jsonl": ("align-chests", "align-thorax"),
    "bodies.jsonl": ("align-heads", "align-chests", "align-thorax"),
}


def stages(data: Path, out: Path) -> list[list[Line]]:
    """The command lines; those of one stage may run at the same time."""
    return [
        [["-m", "benchmarks.thorax", "--data", str(data), "-o", str(out / "thorax")]],
        [["-m", "benchmarks.words", "-n", "4000", "-o", str(out / "words")]],
        *([_phantom(each, out)] for each in STUDIES),
        [_align(TEXT, out)],
        [_align(phase, out) for phase in FEATURES],
        [_align(phase, out) for phase in IMAGES],
    ]


def _phantom(studies: Studies, out: Path) -> Line:
    labels = ["--labels", str(out / studies.labels)] if studies.labels else []
    return [
        *("-m", "medgen", "phantom", *studies.options.split(), "--counterfactuals", ROUNDS),
        *("--jobs", "2", "--skip-existing", "-o", str(out / studies.name), *labels),
    ]


def _align(phase: Phase, out: Path) -> Line:
    start = ["--init", str(_run(phase.init, out) / "model")] if phase.init else []
    settings = [
        word
        for key, value in (FIT | phase.settings).items()
        for word in ("--set", f"{key}={value}")
    ]
    return [
        *("-m", "medgen", "align", str(out / phase.manifest), "--train", phase.encoder, *start),
        *("--card", str(CARD), "-o", str(_run(phase, out)), "--steps", str(phase.steps)),
        *("--cache", str(out / "views"), "--resume", *settings),
    ]


def _run(phase: Phase, out: Path) -> Path:
    return out / "encoders" / phase.name


def link_heads(data: Path, folder: Path) -> None:
    """A folder with the label maps that may be trained on."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((data / "heads").glob("head_*.nii.gz")):
        link = folder / path.name
        if path.name.partition(".")[0] not in HELD_OUT_HEADS and not link.exists():
            link.symlink_to(path.resolve())


def list_studies(out: Path) -> None:
    """Manifests of several folders of studies, whose names then begin with the folder's."""
    for name, folders in MANIFESTS.items():
        studies = [
            replace(study, id=f"{folder}-{study.id}", patient=f"{folder}-{study.patient}")
            for folder in folders
            if (out / folder / "manifest.jsonl").exists()
            for study in read_manifest(out / folder / "manifest.jsonl")
        ]
        write_manifest(studies, out / name, overwrite=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the commands; the first that fails ends it."""
    parser = argparse.ArgumentParser(prog="benchmarks.train_align", description=__doc__)
    data_option(parser)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs"), metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="print the commands only")
    options = parser.parse_args(arguments)
    if options.dry_run:
        for stage in stages(options.data, options.out):
            print("\n".join(map(shown, stage)))
        return 0
    link_heads(options.data, options.out / "training-heads")
    for stage in stages(options.data, options.out):
        if stage[0][2] == "align":
            list_studies(options.out)
        if code := run_chains([[line] for line in stage]):
            return code
    runs = [_run(phase, options.out) for phase in (TEXT, *IMAGES)]
    join(runs, options.out / "align" / "model", CARD)
    return 0


if __name__ == "__main__":
    sys.exit(main())
