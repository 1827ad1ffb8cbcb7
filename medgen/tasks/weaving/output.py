"""What weaving leaves on disk: the scan, its mask and what is said of it, all of them or none."""

import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from medgen.errors import InputError, UsageError
from medgen.io import files
from medgen.io.atomic import all_or_nothing, atomic_file, atomic_folder, check_writable
from medgen.io.image import MedicalImage
from medgen.io.names import check_apart, format_of, stem_of
from medgen.io.preview import write_woven_preview
from medgen.io.provenance import Provenance
from medgen.io.sidecar import sidecar_path, write_sidecar
from medgen.io.sniff import header_of, image_of, peek_raw
from medgen.io.stream import GZIP
from medgen.tasks.weaving.woven import Finding, Woven

NAMED = (".nii.gz", ".nii", ".png", ".dcm")


@dataclass(frozen=True)
class Written:
    """What one woven scan left on disk.

    Attributes:
        output: The scan.
        mask: Where what is in it; None where nothing was woven.
        sidecar: The JSON beside it; None where nothing was woven.
        report: The study's report with what was woven; None if none was given.
        preview: A picture of all; None if none was asked for.
        findings: What each region looks like.
        labels: What was woven, by its number in the mask.
        sources: Hash of the scan, then of other scans that lent a region.
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


@dataclass(frozen=True)
class Outputs:
    """Where everything goes.

    Attributes:
        scan: The woven scan.
        mask: Its mask.
        report: The report with what was woven; None if there is none.
        preview: The picture; None if none is asked for.
    """

    scan: Path
    mask: Path
    report: Path | None = None
    preview: Path | None = None

    def check(self, inputs: Iterable[Path], *, overwrite: bool) -> None:
        """Find out before the computation whether everything can be written.

        Raises:
            UsageError: If one of them is an input, or two of them are the same.
            OutputError: If one of them exists or cannot be written.
        """
        every = (self.scan, *self.beside)
        check_apart(every, inputs)
        for path in filter(None, every):
            check_writable(path, overwrite=overwrite)

    @property
    def beside(self) -> tuple[Path | None, ...]:
        """All but the scan."""
        return self.mask, sidecar_path(self.scan), self.report, self.preview


def woven_path(source: Path, out: Path | None) -> Path:
    """Where the woven scan goes: what `-o` names, or `<scan>_woven` in that folder.

    Raises:
        UsageError: If that is the scan itself, or a format that is not written.
    """
    ending = _usual_ending(source)
    path = out if out is not None else source.absolute().parent
    if path.suffix.lower() == ".dcm" and ending not in ("", ".dcm") and not path.is_dir():
        raise UsageError(f"-o {out}: what is woven from {source.name} is a {ending}; name one")
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


def write_all(
    woven: Woven,
    image: MedicalImage,
    outputs: Outputs,
    provenance: Provenance,
    details: Mapping[str, object],
    *,
    report: str = "",
    lender: MedicalImage | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a woven scan and all that goes with it; if one file fails, none stays.

    Args:
        woven: What was made.
        image: The scan as it was.
        outputs: Where everything goes.
        provenance: How it was made.
        details: What the sidecar says besides its marks; names no file.
        report: Text of the report, where `outputs` has a place for it.
        lender: Another scan, on the voxels of this one, that the picture shows in place of the
            mask.
        overwrite: Replace what exists.

    Returns:
        The sidecar.

    Raises:
        OutputError: If one of them exists or cannot be written.
    """
    with all_or_nothing(*outputs.beside) as undo:
        sidecar = write_sidecar(outputs.scan, provenance, details, overwrite=overwrite)
        undo.append(sidecar)
        labels = MedicalImage(
            woven.labels,
            image.geometry,
            spacing_is_known=image.spacing_is_known,
            is_mask=True,
        )
        files.write(labels, outputs.mask, provenance=provenance, overwrite=overwrite)
        undo.append(outputs.mask)
        if outputs.report:
            with atomic_file(outputs.report, overwrite=overwrite) as draft:
                draft.write_text(report, encoding="utf-8")
            undo.append(outputs.report)
        if outputs.preview:
            write_woven_preview(
                image,
                woven.labels,
                woven.image,
                outputs.preview,
                provenance=provenance,
                lender=lender,
                overwrite=overwrite,
            )
            undo.append(outputs.preview)
        _write(woven, outputs.scan, provenance, overwrite=overwrite)
        undo.append(outputs.scan)
    return sidecar


def _write(woven: Woven, output: Path, provenance: Provenance, *, overwrite: bool) -> None:
    """Where the scan's own format is asked for, all that did not change is stored as it was.

    NIfTI can hold the voxels of DICOM as they were read, too.
    """
    image = woven.image
    own = image.source.format if image.source else ""
    match format_of(output):
        case "nifti" if own == "nifti":
            from medgen.io import nifti

            nifti.rewrite(image, woven.changed, output, provenance=provenance, overwrite=overwrite)
        case "nifti":
            from medgen.io import nifti

            nifti.write(image, output, provenance=provenance, overwrite=overwrite, keep_type=True)
        case "dicom" if own == "dicom":
            from medgen.io import dicom

            dicom.write(image, output, provenance=provenance, overwrite=overwrite, keep_steps=True)
        case _:
            files.write(image, output, provenance=provenance, overwrite=overwrite)


def copy_scan(source: Path, outputs: Outputs, *, overwrite: bool) -> None:
    """The scan's own bytes under another name; what an earlier weave left beside it goes.

    Raises:
        UsageError: If the name is that of another kind of file than the scan is.
        OutputError: If it exists or cannot be written.
    """
    output, fitting = outputs.scan, _endings_of(source)
    if not fitting:
        raise UsageError(
            f"{source}: every mask is empty, and this file can only be woven; draw one"
        )
    if _ending(output) not in fitting:
        raise UsageError(
            f"{output}: every mask is empty, so this would be {source.name} under the name of "
            f"another kind of file; choose one that ends in {fitting[0] or 'nothing'} with -o"
        )
    if source.is_dir():
        with atomic_folder(output, overwrite=overwrite) as draft:
            shutil.copytree(source, draft, dirs_exist_ok=True)
    else:
        with atomic_file(output, overwrite=overwrite) as draft:
            shutil.copyfile(source, draft)
    for stale in filter(None, outputs.beside):
        stale.unlink(missing_ok=True)


def _usual_ending(source: Path) -> str:
    """What a woven file of a source ends in: as itself, if that fits what it holds; else as usual.

    One that cannot be read keeps its ending, and its turn tells why.
    """
    own = _ending(source)
    try:
        content = files.sniff(source)
    except InputError:
        return own
    match content:
        case "nifti":
            return own if own.startswith(".nii") else ".nii.gz"
        case "png" | "jpeg":
            return ".png"
        case "dicom":
            return own if own == ".dcm" else ""
    return own


def _endings_of(source: Path) -> tuple[str, ...]:
    """What a copy of a source can end in, by what it holds; nothing for what is not written so."""
    if source.is_dir():
        return ("",)
    match files.sniff(source):
        case "dicom":
            return (".dcm", "")
        case "nifti" if header_of(source) == image_of(source):  # no pair
            return (".nii.gz",) if peek_raw(source) == GZIP else (".nii",)
        case "png":
            return (".png",)
    return ()


def _ending(path: Path) -> str:
    """Of an image's name, as `NAMED` has it; empty for a folder."""
    return next((each for each in NAMED if path.name.lower().endswith(each)), "")


def sha256_of(image: MedicalImage) -> str:
    """Of the file that an image was read from; empty for one made in memory."""
    return image.source.sha256 if image.source else ""


def since(started: float) -> float:
    """Seconds since a moment of `time.perf_counter`."""
    return round(time.perf_counter() - started, 3)
