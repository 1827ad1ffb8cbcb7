"""`medgen phantom`: made-up patients with known answers, as files."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from medgen.cli.options import Jobs, Json, Overwrite, Seed, SkipExisting, check_overwrite
from medgen.cli.progress import watched
from medgen.errors import UsageError

if TYPE_CHECKING:
    from medgen.modality import Kind
    from medgen.phantom.chest_study import ChestConfig
    from medgen.phantom.study_config import StudyConfig


def phantom(
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Folder for the studies.")
    ],
    anatomy: Annotated[
        Literal["head", "thorax"], typer.Option("--anatomy", help="Which part of the body.")
    ] = "head",
    number: Annotated[
        int, typer.Option("-n", "--number", min=1, metavar="N", help="How many patients.")
    ] = 1,
    seed: Seed = 0,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", metavar="FILE|DIR", help="Label maps; a body of formulas if not given."
        ),
    ] = None,
    kinds: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="LIST",
            help="Of text,xray,xray:lateral,ct for a thorax, text,ct,mri for a head.",
        ),
    ] = None,
    ill: Annotated[
        float | None,
        typer.Option(
            "--ill", min=0, max=1, metavar="SHARE", help="With disease; 0.8 of those with a report."
        ),
    ] = None,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Reports in words kept from training.")
    ] = False,
    counterfactuals: Annotated[
        int,
        typer.Option(
            "--counterfactuals", min=0, max=100, metavar="N", help="Reports with one fact changed."
        ),
    ] = 0,
    masks: Annotated[bool, typer.Option("--masks", help="Where each finding is.")] = False,
    follow_up: Annotated[
        bool, typer.Option("--follow-up", help="A second, later study of each patient.")
    ] = False,
    spacing: Annotated[
        float | None,
        typer.Option("--spacing", metavar="MM", help="Voxel size; what suits the body."),
    ] = None,
    size: Annotated[
        tuple[int, int, int] | None,
        typer.Option("--size", metavar="I J K", help="Voxels; the whole anatomy if not given."),
    ] = None,
    file_format: Annotated[
        Literal["nifti", "dicom"], typer.Option("--format", help="What to write.")
    ] = "nifti",
    contrasts: Annotated[
        str | None,
        typer.Option(
            "--contrasts", metavar="LIST", help="MRIs of a head: of t1,t2,flair,pd; or random."
        ),
    ] = None,
    still: Annotated[
        bool, typer.Option("--still", help="Take the anatomy as it is, not another patient's.")
    ] = False,
    noise_hu: Annotated[
        float, typer.Option("--noise-hu", min=0, metavar="HU", help="Noise of the CT.")
    ] = 15.0,
    noise_mri: Annotated[
        float | None,
        typer.Option(
            "--noise-mri",
            min=0,
            max=0.2,
            metavar="SHARE",
            help="Noise of MRIs; random if not given.",
        ),
    ] = None,
    fwhm: Annotated[
        float | None,
        typer.Option(
            "--fwhm",
            min=0,
            metavar="MM",
            help="Width of the blur at half its height; if not given 1 in a head, 2 in a thorax.",
        ),
    ] = None,
    thick: Annotated[
        float | None,
        typer.Option(
            "--thick", min=0, max=1, metavar="SHARE", help="MRIs with 2 to 5 mm slices: 0.35."
        ),
    ] = None,
    partial: Annotated[
        float | None,
        typer.Option(
            "--partial", min=0, max=1, metavar="SHARE", help="Heads without neck or vertex: 0.25."
        ),
    ] = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    jobs: Jobs = 1,
    as_json: Json = False,
) -> None:
    """Make up patients: CT, MRI or X-ray, and what is true of them."""
    from medgen.tasks.phantom import PhantomConfig, Written, simulate

    check_overwrite(overwrite=overwrite, skip_existing=skip_existing)
    common = {
        "seed": seed,
        "labels": labels,
        "spacing": spacing,
        "noise_hu": noise_hu,
        "fwhm_mm": fwhm,
        "ill": ill,
        "held_out": held_out,
        "counterfactuals": counterfactuals,
        "masks": masks,
        "follow_up": follow_up,
        "lps": file_format == "dicom",
    }
    wanted = _kinds(kinds) if kinds else None
    of_heads = {
        "contrasts": tuple(filter(None, contrasts.split(","))) if contrasts else None,
        "size": size,
        "still": still or None,
        "noise_mri": noise_mri,
        "thick": thick,
        "partial": partial,
    }
    study = (
        _head(wanted, common, of_heads) if anatomy == "head" else _chest(wanted, common, of_heads)
    )
    has_reports = "text" in map(str, wanted) if wanted is not None else anatomy != "head"
    if held_out and not (has_reports or counterfactuals):
        raise UsageError("--held-out is of reports: add text to --with, or --counterfactuals")
    config = PhantomConfig(number, file_format, study, overwrite, skip_existing)

    def line(one: Written) -> dict[str, Any]:
        images = {str(kind): str(path) for kind, path in one.study.images.items()}
        return {"study": one.study.id, "images": images}

    for one in watched(simulate(config, out, jobs=jobs), "phantom", total=number * (1 + follow_up)):
        folder = out / one.study.id
        typer.echo(json.dumps(line(one)) if as_json else str(folder))


def _head(kinds: "list[Kind] | None", common: dict[str, Any], own: dict[str, Any]) -> "StudyConfig":
    """Settings of a head; without `--with` it is healthy, with CT and MRIs."""
    from medgen.modality import Modality
    from medgen.phantom.study_config import StudyConfig

    given = {name: value for name, value in (common | own).items() if value is not None}
    if kinds is None:
        return StudyConfig(**given)
    modalities = {kind.modality for kind in kinds}
    if unknown := [str(kind) for kind in kinds if kind.modality is Modality.XRAY or kind.contrast]:
        raise UsageError(
            f"--with {unknown[0]} is not for a head: choose from text,ct,mri, and --contrasts"
        )
    has_report = Modality.TEXT in modalities
    given.setdefault("ill", 0.8 if has_report else 0.0)
    if Modality.MRI not in modalities:
        given["contrasts"] = ()
    return StudyConfig(**given, has_ct=Modality.CT in modalities, has_report=has_report)


def _chest(
    kinds: "list[Kind] | None", common: dict[str, Any], foreign: dict[str, Any]
) -> "ChestConfig":
    """Settings of a chest; what is only for heads is refused."""
    from medgen.phantom.chest_study import KINDS, ChestConfig

    for name, value in foreign.items():
        if value is not None:
            raise UsageError(f"--{name.replace('_', '-')} is not for a thorax; leave it out")
    given = {name: value for name, value in common.items() if value is not None}
    return ChestConfig(**given, kinds=KINDS if kinds is None else tuple(kinds))


def _kinds(words: str) -> "list[Kind]":
    from medgen.modality import Kind

    return [Kind.parse(word.strip()) for word in words.split(",") if word.strip()]
