"""A NIfTI file again with some voxels changed: its own grid, type and scaling, no free text."""

import gzip
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

import nibabel as nib
import numpy as np
from jaxtyping import Bool

from medgen.errors import InputError, UsageError
from medgen.io.atomic import atomic_file
from medgen.io.image import MedicalImage
from medgen.io.nifti.mark import mark
from medgen.io.provenance import Provenance
from medgen.io.sniff import header_of


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
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise UsageError(f"{path}: a NIfTI file ends in .nii or .nii.gz")
    if image.source is None or image.source.format != "nifti":
        raise UsageError(f"{path}: only what was NIfTI is written so")
    try:
        source = cast(nib.nifti1.Nifti1Pair, nib.load(image.source.path))
        proxy = cast(nib.arrayproxy.ArrayProxy, source.dataobj)
        stored = np.asanyarray(proxy.get_unscaled())
    except (OSError, nib.filebasedimages.ImageFileError) as error:
        raise InputError(f"{image.source.path}: cannot be read again ({error})") from None
    if stored.size != image.voxels.size:
        raise InputError(f"{image.source.path}: holds several volumes; split it first")
    raw = stored.reshape(image.voxels.shape, order="F").copy(order="F")
    slope, inter = proxy.slope, proxy.inter
    values = (image.voxels[changed].astype(np.float64) - inter) / slope
    if np.issubdtype(raw.dtype, np.integer):
        limits = np.iinfo(raw.dtype)
        values = np.rint(values).clip(limits.min, limits.max)
    raw[changed] = values.astype(raw.dtype)
    header = _single(source, header_of(image.source.path))
    mark(header, image.kind, provenance, clipped=0)
    with atomic_file(path, overwrite=overwrite) as temporary, ExitStack() as stack:
        file: BinaryIO = stack.enter_context(temporary.open("wb"))
        if path.suffix.lower() == ".gz":
            packer = gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0)
            file = stack.enter_context(packer)  # type: ignore[assignment]
        header.write_to(file)
        for k in range(raw.shape[2]):
            file.write(raw[:, :, k].tobytes(order="F"))
    return path


def _single(source: nib.nifti1.Nifti1Pair, path: Path) -> nib.nifti1.Nifti1Header:
    """The header of a file, as one that holds the voxels, too, has it."""
    with nib.openers.ImageOpener(str(path)) as stream:  # an image in memory forgets its scaling
        own = type(source.header).from_fileobj(stream, check=False)
    is_second = own.template_dtype.itemsize == nib.nifti2.Nifti2Header.sizeof_hdr
    kind = nib.nifti2.Nifti2Header if is_second else nib.nifti1.Nifti1Header
    header = kind(own.binaryblock, own.endianness, check=False)
    # These may name the patient, as extensions may.
    for free_text in ("db_name", "aux_file", "data_type", "unused_str"):
        if free_text in header:
            header[free_text] = b""
    header["magic"] = kind.single_magic
    header["vox_offset"] = 0  # directly after the header
    return header
