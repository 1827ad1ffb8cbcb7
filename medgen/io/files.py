"""Any image file in, by its content; any image out, by the name it shall have."""

from pathlib import Path

from medgen.errors import InputError, UsageError
from medgen.io.image import MedicalImage
from medgen.io.limits import MAX_VOXELS
from medgen.io.names import format_of, output_path
from medgen.io.provenance import Provenance
from medgen.io.sniff import sniff

__all__ = ["output_path", "read", "sniff", "write"]

_REMEDIES = {
    "zip": "is a zip archive; unzip it first",
    "gzip": "is gzip data but not NIfTI; unpack it first",
    "analyze": "is an Analyze 7.5 file, which does not tell left from right; convert it to NIfTI",
    "unknown": "is not NIfTI, DICOM, PNG or JPEG; convert it to NIfTI first",
}


def read(
    path: Path,
    *,
    series: str | None = None,
    frame: int | None = None,
    max_voxels: int | float = MAX_VOXELS,
    is_mask: bool = False,
) -> MedicalImage:
    """Read an image, whatever its format; the suffix plays no part.

    Args:
        path: A NIfTI, DICOM, PNG or JPEG file, or a folder of DICOM.
        series: Which series of a DICOM folder.
        frame: Which 3-D volume of a 4-D file, counted from 0.
        max_voxels: The most voxels that the file may declare.
        is_mask: Whether its voxels may all be the same; NIfTI and pictures only.

    Raises:
        InputError: If the file cannot be read.
        UsageError: If `series` or `frame` is needed, or does not fit.
    """
    content = sniff(path)
    if series is not None and content in ("nifti", "png", "jpeg"):
        raise UsageError(f"{path}: only DICOM has series; leave --series out")
    if frame is not None and content in ("png", "jpeg"):
        raise UsageError(f"{path}: a picture has no frames; leave --frame out")
    match content:  # imported here: each costs a library that the others do not need
        case "nifti":
            from medgen.io import nifti

            return nifti.read(path, frame=frame, max_voxels=max_voxels, is_mask=is_mask)
        case "dicom":
            from medgen.io import dicom

            return dicom.read(path, series=series, frame=frame, max_voxels=max_voxels)
        case "png" | "jpeg":
            from medgen.io import radiograph

            return radiograph.read(path, max_voxels=max_voxels, is_mask=is_mask)
    if path.is_dir():
        raise InputError(f"{path}: holds no DICOM; name the image file itself")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty; copy or download it again")
    raise InputError(f"{path}: {_REMEDIES[content]}")


def write(
    image: MedicalImage,
    path: Path,
    *,
    provenance: Provenance,
    overwrite: bool = False,
    keep_patient: bool = False,
) -> Path:
    """Write an image in the format that its name asks for, marked synthetic.

    Args:
        image: What to write.
        path: A name that ends in .nii, .nii.gz, .png or .dcm; any other is a folder of DICOM.
        provenance: How the image was made.
        overwrite: Replace what is there.
        keep_patient: Keep the patient's and study's identity; DICOM only.

    Returns:
        The path that was written.

    Raises:
        UsageError: If the format cannot hold the image.
        OutputError: If it exists or cannot be written.
    """
    match format_of(path):
        case "nifti":
            from medgen.io import nifti

            return nifti.write(image, path, provenance=provenance, overwrite=overwrite)
        case "png":
            from medgen.io import radiograph

            return radiograph.write(image, path, provenance=provenance, overwrite=overwrite)
    from medgen.io import dicom

    return dicom.write(
        image, path, provenance=provenance, overwrite=overwrite, keep_patient=keep_patient
    )
