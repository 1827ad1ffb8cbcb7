"""Woven files: a scan read, woven, written with its mask and its marks, or nothing."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from medgen.errors import InputError, UsageError
from medgen.io import files
from medgen.io.atomic import all_or_nothing, atomic_file, atomic_folder, check_writable
from medgen.io.image import MedicalImage
from medgen.io.names import format_of, stem_of
from medgen.io.preview import write_woven_preview
from medgen.io.provenance import Provenance
from medgen.io.sidecar import sidecar_path, write_sidecar
from medgen.metrics.phrases import load_phrases
from medgen.modality import FACTS
from medgen.tasks.concept_file import LoadedConcept, check_fits, load_concept
from medgen.tasks.given import Given
from medgen.tasks.report_images import with_kinds
from medgen.tasks.weave import Finding, Part, WeaveConfig, Woven, weave
from medgen.tasks.weave_loom import Workshop, workshop
from medgen.tasks.weave_regions import Place, check_inside, region_of
from medgen.tasks.weave_report import finding_of, read_report, updated

NAMED = (".nii.gz", ".nii", ".png", ".dcm")


@dataclass(frozen=True)
class Placed:
    """A concept's file, and where it goes."""

    concept: Path
    place: Place


@dataclass(frozen=True)
class Written:
    """What one woven scan left on disk.

    Attributes:
        output: The scan.
        mask: Where which concept is in it; None where nothing was woven.
        sidecar: The JSON beside it; None where nothing was woven.
        report: The study's report with what was woven; None if none was given.
        preview: A picture of all; None if none was asked for.
        findings: What each region looks like.
        labels: The concept's name by its number in the mask.
        sources: Hash of the scan.
        model: Name of the model.
        model_sha256: Hash of its card.
        device: Where it was made.
        seconds: From reading to writing.
    """

    output: Path
    mask: Path | None
    sidecar: Path | None
    report: Path | None
    preview: Path | None
    findings: tuple[Finding, ...]
    labels: dict[int, str]
    sources: tuple[str, ...]
    model: str
    model_sha256: str
    device: str
    seconds: float

    @property
    def files(self) -> list[Path]:
        """All of them."""
        beside = (self.mask, self.sidecar, self.report, self.preview)
        return [self.output, *(one for one in beside if one)]


def woven_path(source: Path, out: Path | None) -> Path:
    """Where the woven scan goes: what `-o` names, or `<scan>_woven` in that folder.

    Raises:
        UsageError: If that is the scan itself, or a format that is not written.
    """
    name = source.name.lower()
    ending = next((each for each in NAMED if name.endswith(each)), "")
    if name.endswith((".jpg", ".jpeg")):
        ending = ".png"
    elif name.endswith((".img", ".hdr", ".img.gz", ".hdr.gz")):
        ending = ".nii.gz"
    path = out if out is not None else source.absolute().parent
    is_folder = path.is_dir() or (out is not None and format_of(out) == "dicom" and ending)
    if out is None or is_folder:
        path = path / f"{stem_of(source)}_woven{ending}"
    if path.absolute() == source.absolute():
        raise UsageError(f"{path}: is the scan itself; choose another name with -o")
    return path


def mask_path(output: Path, *, axes: int) -> Path:
    """Where the mask of a woven scan goes, a picture of a radiograph's, else NIfTI.

    Example:
        >>> mask_path(Path("woven.nii.gz"), axes=3).name, mask_path(Path("a.dcm"), axes=2).name
        ('woven_mask.nii.gz', 'a_mask.png')
    """
    ending = ".png" if axes == 2 else ".nii.gz"
    return output.with_name(f"{stem_of(output)}_mask{ending}")


def report_path(output: Path) -> Path:
    """Where the report of a woven scan goes: `woven_report.txt` beside `woven.nii.gz`."""
    return output.with_name(f"{stem_of(output)}_report.txt")


def write_woven(
    given: str,
    placed: Sequence[Placed],
    config: WeaveConfig,
    out: Path | None,
    *,
    report: Path | None = None,
    preview: Path | None = None,
) -> Written:
    """Weave concepts into one scan; all of its files are written, or none.

    Where no region has a voxel, the output is the scan's own bytes, with nothing beside it.

    Args:
        given: The scan, as `KIND=FILE` or `FILE`.
        placed: Concepts, and where they go.
        config: How.
        out: As `woven_path` takes it.
        report: The study's report; a copy that says what was woven is written beside the scan.
        preview: PNG to draw scan, mask, result and difference in.

    Raises:
        MedgenError: In one line: what is wrong.
    """
    started = time.perf_counter()
    if not placed:
        raise UsageError("nothing to weave; name a --concept FILE=MASK")
    scan = Given.parse(given)
    output = woven_path(scan.path, out)
    image = read_scan(scan)
    mask = mask_path(output, axes=image.voxels.ndim)
    told = report_path(output) if report else None
    old = read_report(report) if report else ""
    for path in filter(None, (output, mask, sidecar_path(output), told, preview)):
        check_writable(path, overwrite=config.overwrite)
    concepts = {one.concept: load_concept(one.concept) for one in placed}
    kind = image.kind
    if kind is None:
        raise InputError(f"{scan.path}: does not say what it is; write KIND={scan.path}")
    shop = workshop(config.model, kind, config.device)
    for path, loaded in concepts.items():
        check_fits(loaded, path, shop.loaded.card, kind)
    parts = _parts(placed, concepts, image, config)
    card = shop.loaded.card
    sources = (image.source.sha256 if image.source else "",)
    about = (sources, card.name, card.digest, str(shop.loaded.device))
    if not parts:
        _copied(scan.path, output, overwrite=config.overwrite)
        return Written(output, None, None, None, None, (), {}, *about, _since(started))
    said = [finding_of(part.loaded.card.name, part.region, image) for part in parts if report]
    woven = weave(image, parts, config, shop)
    provenance = Provenance("weave", card.name, card.digest, steps=config.steps)
    with all_or_nothing() as undo:
        details = _details(woven, parts, image, config, shop)
        sidecar = write_sidecar(output, provenance, details, overwrite=config.overwrite)
        undo.append(sidecar)
        labels = MedicalImage(
            woven.labels,
            image.geometry,
            spacing_is_known=image.spacing_is_known,
            is_mask=True,
        )
        files.write(labels, mask, provenance=provenance, overwrite=config.overwrite)
        undo.append(mask)
        if told:
            with atomic_file(told, overwrite=config.overwrite) as draft:
                draft.write_text(updated(old, said, load_phrases()), encoding="utf-8")
            undo.append(told)
        if preview:
            write_woven_preview(
                image,
                woven.labels,
                woven.image,
                preview,
                provenance=provenance,
                overwrite=config.overwrite,
            )
            undo.append(preview)
        _write(woven, output, provenance, overwrite=config.overwrite)
        undo.append(output)
    names = {at: part.loaded.card.name for at, part in enumerate(parts, start=1)}
    return Written(
        output, mask, sidecar, told, preview, woven.findings, names, *about, _since(started)
    )


def read_scan(scan: Given) -> MedicalImage:
    """A scan with its kind.

    Raises:
        InputError: If it cannot be read, or is given as what it is not.
    """
    (image,) = with_kinds([files.read(scan.path)], [scan.kind])
    return image


def _parts(
    placed: Sequence[Placed],
    concepts: dict[Path, LoadedConcept],
    image: MedicalImage,
    config: WeaveConfig,
) -> list[Part]:
    parts = []
    for one in placed:
        region = region_of(one.place, image)
        name = str(one.place.mask or one.place.region or one.place.box or "place")
        check_inside(region, image, name, force=config.force)
        if region.any():
            parts.append(Part(concepts[one.concept], region))
    return parts


def _write(woven: Woven, output: Path, provenance: Provenance, *, overwrite: bool) -> None:
    source = woven.image.source
    if format_of(output) == "nifti" and source is not None and source.format == "nifti":
        from medgen.io import nifti

        nifti.rewrite(
            woven.image, woven.changed, output, provenance=provenance, overwrite=overwrite
        )
        return
    files.write(woven.image, output, provenance=provenance, overwrite=overwrite)


def _copied(source: Path, output: Path, *, overwrite: bool) -> None:
    """The scan's own bytes under another name."""
    if source.is_dir():
        with atomic_folder(output, overwrite=overwrite) as draft:
            shutil.copytree(source, draft, dirs_exist_ok=True)
        return
    with atomic_file(output, overwrite=overwrite) as draft:
        shutil.copyfile(source, draft)


def _details(
    woven: Woven, parts: Sequence[Part], image: MedicalImage, config: WeaveConfig, shop: Workshop
) -> dict[str, object]:
    """What the sidecar says besides its marks; names no file."""
    modality = shop.kind.modality
    return {
        "Kind": str(shop.kind),
        "Unit": FACTS[modality].unit,
        "Source": {"SHA256": image.source.sha256 if image.source else ""},
        "Labels": {str(at): part.loaded.card.name for at, part in enumerate(parts, start=1)},
        "Concepts": [
            {
                "Name": part.loaded.card.name,
                "SHA256": part.loaded.sha256,
                "Says": part.loaded.card.says,
                "Licence": part.loaded.card.licence,
                "Data": part.loaded.card.data,
            }
            for part in parts
        ],
        "Regions": [asdict(one) for one in woven.findings],
        "ChangedVoxels": int(np.count_nonzero(woven.changed)),
        "LengthUnit": "mm" if image.spacing_is_known else "pixels",
        "Fusion": config.fusion,
        "Guidance": config.push,
        "Suppression": config.suppression,
        "Injected": {
            "Features": config.features,
            "Attention": config.attention,
            "Inside": config.inside,
            "Whole": config.whole,
        },
        "Dilate": config.dilate,
        "Feather": config.feather,
        "Told": config.text,
    }


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)
