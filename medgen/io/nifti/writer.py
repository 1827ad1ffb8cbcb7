"""A volume as a NIfTI file: the source's grid, a type that fits, and the synthetic mark."""

import gzip
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float, Shaped
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header

from medgen.errors import UsageError
from medgen.io.atomic import atomic_file
from medgen.io.hounsfield import stored_hu
from medgen.io.image import MedicalImage
from medgen.io.nifti.mark import mark
from medgen.io.provenance import Provenance
from medgen.modality import Modality

MAX_LENGTH_1 = 32767  # NIfTI-1 holds dimensions in 16 bits
SHEAR_MM = 0.01  # how far a corner may move when the affine is made a rotation
_SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT
_LABEL_TYPES = ("u1", "i2", "u2", "i4")


def write(
    image: MedicalImage,
    path: Path,
    *,
    provenance: Provenance,
    overwrite: bool = False,
    keep_type: bool = False,
) -> Path:
    """Write a volume as `.nii` or `.nii.gz`, whole or not at all; same image, same bytes.

    CT becomes int16 HU with slope 1 and intercept 0, anything else float32; label maps (integer
    voxels of no kind) keep their type. The sform holds the affine; the qform too, with the same
    code, unless the affine has shear, which a qform cannot hold.

    Args:
        image: A volume.
        path: The file to make.
        provenance: How it was made; goes into the header.
        overwrite: Replace an existing file.
        keep_type: Store every voxel as it is, in its own type, a CT's, too.

    Raises:
        UsageError: If the name is not a NIfTI name, or the image is not a volume.
        OutputError: If the file exists or cannot be written.
    """
    check_name(path)
    is_radiograph = image.kind is not None and image.kind.modality is Modality.XRAY
    if is_radiograph or image.voxels.ndim != 3:
        raise UsageError(f"{path}: NIfTI holds volumes; write a radiograph as .png or .dcm")
    voxels, clipped = (image.voxels, 0) if keep_type else _stored(image)
    header = _header(image, voxels.dtype)
    mark(header, image.kind, provenance, clipped=clipped)
    return write_stored(header, voxels, path, overwrite=overwrite)


def check_name(path: Path) -> None:
    """Make sure that a name says NIfTI.

    Raises:
        UsageError: If it does not.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise UsageError(f"{path}: a NIfTI file ends in .nii or .nii.gz")


def write_stored(
    header: Nifti1Header, voxels: Shaped[np.ndarray, "i j k"], path: Path, *, overwrite: bool
) -> Path:
    """Write a header and the voxels that it describes, whole or not at all.

    Raises:
        OutputError: If the file exists or cannot be written.
    """
    with atomic_file(path, overwrite=overwrite) as temporary, ExitStack() as stack:
        file: BinaryIO = stack.enter_context(temporary.open("wb"))
        if path.suffix.lower() == ".gz":  # no name and time inside: same image, same bytes
            # Level 1: noise does not compress any better at 6, only slower.
            packer = gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0)
            file = stack.enter_context(packer)  # type: ignore[assignment]
        header.write_to(file)
        for k in range(voxels.shape[2]):  # first axis fastest, as NIfTI wants it
            file.write(voxels[:, :, k].tobytes(order="F"))
    return path


def _stored(image: MedicalImage) -> tuple[Shaped[np.ndarray, "i j k"], int]:
    if image.kind is None and image.voxels.dtype in map(np.dtype, _LABEL_TYPES):
        return image.voxels, 0
    if image.kind is not None and image.kind.modality is Modality.CT:
        stored = stored_hu(image.voxels)
        return stored.voxels, stored.clipped
    return image.voxels.astype(np.float32, copy=False), 0


def _header(image: MedicalImage, dtype: np.dtype) -> Nifti1Header:
    source = image.source.header if image.source and image.source.format == "nifti" else {}
    is_large = max(image.voxels.shape) > MAX_LENGTH_1
    header = Nifti2Header() if is_large or source.get("version") == 2 else Nifti1Header()
    header.set_data_shape(image.voxels.shape)
    header.set_data_dtype(dtype)
    header.set_slope_inter(1, 0)
    header.set_xyzt_units("mm", "sec")
    affine, code = image.geometry.affine, _code(image)
    header.set_qform(affine, code, strip_shears=True)
    header.set_sform(affine, code)
    if _corner_error(header.get_qform(), affine, image.voxels.shape) > SHEAR_MM:
        header["qform_code"] = 0
    return header


def _code(image: MedicalImage) -> int:
    """The code of the source's matrix that was used, as long as the grid is still the source's.

    A source without any code keeps none: each tool then places the result where it places the
    source, whatever its own rule.
    """
    if image.source is None or image.source.format != "nifti":
        return _SCANNER
    details = image.source.header
    if not np.array_equal(np.asarray(details.get("affine")), image.geometry.affine):
        return _SCANNER
    sform, qform = details["sform_code"], details["qform_code"]
    return int(str(sform if sform else qform))


def _corner_error(
    one: Float[np.ndarray, "4 4"], other: Float[np.ndarray, "4 4"], shape: tuple[int, ...]
) -> float:
    """The largest distance, in mm, between where two affines put a corner voxel."""
    corners = np.array([(*corner, 1) for corner in product(*((0, n - 1) for n in shape))])
    return float(np.linalg.norm((one - other) @ corners.T, axis=0).max())
