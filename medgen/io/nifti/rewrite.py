"""A NIfTI file again with some voxels changed: its own grid, type and scaling, no free text."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header

from medgen.errors import UsageError
from medgen.io.image import MedicalImage
from medgen.io.nifti.mark import mark
from medgen.io.nifti.reader import read_stored
from medgen.io.nifti.writer import check_name, write_stored
from medgen.io.provenance import Provenance


def rewrite(
    image: MedicalImage,
    changed: Bool[np.ndarray, "i j k"],
    path: Path,
    *,
    provenance: Provenance,
    overwrite: bool = False,
) -> Path:
    """Write an image that differs from its source in some voxels, in the source's own header.

    Type, scaling, affines and every other voxel are the source's, bit by bit; changed voxels take
    the nearest value that its type and scaling can hold. Header fields of free text and extensions,
    where a patient may be named, stay behind.

    Args:
        image: Read from a NIfTI file; its voxels may have changed since.
        changed: The voxels that may have.
        path: The file to make; `.nii` or `.nii.gz`.
        provenance: How it was made; goes into the header.
        overwrite: Replace an existing file.

    Raises:
        UsageError: If the name is not a NIfTI name, or the image was not read from NIfTI.
        InputError: If the source is not there any more, or holds several volumes.
        OutputError: If the file exists or cannot be written.
    """
    check_name(path)
    if image.source is None or image.source.format != "nifti":
        raise UsageError(f"{path}: only what was NIfTI is written so")
    source = read_stored(image.source.path)
    raw = source.voxels
    values = (image.voxels[changed].astype(np.float64) - source.inter) / source.slope
    if np.issubdtype(raw.dtype, np.integer):
        limits = np.iinfo(raw.dtype)
        values = np.rint(values).clip(limits.min, limits.max)
    raw[changed] = values.astype(raw.dtype)
    header = _single(source.header)
    mark(header, image.kind, provenance, clipped=0)
    return write_stored(header, raw, path, overwrite=overwrite)


def _single(own: Nifti1Header) -> Nifti1Header:
    """The header of a file, as one that holds the voxels, too, has it."""
    is_second = own.template_dtype.itemsize == Nifti2Header.sizeof_hdr
    kind = Nifti2Header if is_second else Nifti1Header
    header = kind(own.binaryblock, own.endianness, check=False)
    # These may name the patient, as extensions may.
    for free_text in ("db_name", "aux_file", "data_type", "unused_str"):
        if free_text in header:
            header[free_text] = b""
    header["magic"] = kind.single_magic
    header["vox_offset"] = 0  # directly after the header
    return header
