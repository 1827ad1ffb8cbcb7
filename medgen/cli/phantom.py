"""`medgen phantom`: made-up patients with known answers, as files."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from medgen.cli.options import Jobs, Json, Overwrite, Seed, SkipExisting
from medgen.cli.progress import watched
from medgen.errors import UsageError


def phantom(
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Folder for the studies.")
    ],
    anatomy: Annotated[
        Literal["head"], typer.Option("--anatomy", help="Which part of the body.")
    ] = "head",
    number: Annotated[
        int, typer.Option("-n", "--number", min=1, metavar="N", help="How many studies.")
    ] = 1,
    seed: Seed = 0,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", metavar="FILE|DIR", help="Label maps; a head of formulas if not given."
        ),
    ] = None,
    spacing: Annotated[
        float, typer.Option("--spacing", metavar="MM", help="Voxel size, also between slices.")
    ] = 1.0,
    size: Annotated[
        tuple[int, int, int] | None,
        typer.Option("--size", metavar="I J K", help="Voxels; the whole anatomy if not given."),
    ] = None,
    file_format: Annotated[
        Literal["nifti", "dicom"], typer.Option("--format", help="What to write.")
    ] = "nifti",
    contrasts: Annotated[
        str,
        typer.Option("--contrasts", metavar="LIST", help="Some of t1,t2,flair,pd; or random."),
    ] = "t1,t2,flair,pd",
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
        float, typer.Option("--fwhm", min=0, metavar="MM", help="Sharpness of CT and MRI.")
    ] = 1.0,
    thick: Annotated[
        float, typer.Option("--thick", min=0, max=1, help="Share of MRIs with 2 to 5 mm slices.")
    ] = 0.35,
    partial: Annotated[
        float, typer.Option("--partial", min=0, max=1, help="Share without neck or vertex.")
    ] = 0.25,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    jobs: Jobs = 1,
    as_json: Json = False,
) -> None:
    """Make up patients: CT and MRI, and what is true of them."""
    from medgen.phantom.study_config import StudyConfig
    from medgen.tasks.phantom import PhantomConfig, Written, simulate

    if overwrite and skip_existing:
        raise UsageError("--overwrite and --skip-existing contradict each other")
    study = StudyConfig(
        seed=seed,
        labels=labels,
        contrasts=tuple(filter(None, contrasts.split(","))),
        spacing=spacing,
        size=size,
        still=still,
        noise_hu=noise_hu,
        noise_mri=noise_mri,
        fwhm_mm=fwhm,
        thick=thick,
        partial=partial,
        lps=file_format == "dicom",
    )
    config = PhantomConfig(anatomy, number, file_format, study, overwrite, skip_existing)

    def line(one: Written) -> dict[str, Any]:
        images = {str(kind): str(path) for kind, path in one.study.images.items()}
        return {"study": one.study.id, "images": images}

    for one in watched(simulate(config, out, jobs=jobs), "phantom", total=number):
        folder = out / one.study.id
        typer.echo(json.dumps(line(one)) if as_json else str(folder))
