"""PNG and JPEG radiographs in, PNG out; the only code that imports Pillow."""

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from medgen import __version__
from medgen.errors import InputError, UsageError
from medgen.io.atomic import atomic_file
from medgen.io.detector import flat_detector
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage, Source
from medgen.io.limits import MAX_PIXELS, check_voxels
from medgen.io.png_chunks import check_png
from medgen.io.provenance import Provenance
from medgen.modality import Kind, Modality, View

MAX_BYTES = 256 * 2**20  # on disk; twice the largest 16-bit image that is accepted
_JPEG_TOLERANCE = 3  # grey levels; JPEG's rounding of a grey image stored as colour
_SPACING = "medgen:spacing"  # a tEXt chunk of our own: "row column" in mm
_VIEW = "medgen:view"  # another: from where, if not from the front or the back
_FAULTS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


def read(
    path: Path, *, max_voxels: int | float = MAX_PIXELS, is_mask: bool = False
) -> MedicalImage:
    """Read a grey PNG (8 or 16 bits) or JPEG as a radiograph.

    Args:
        path: The file.
        max_voxels: The most pixels it may declare; 50 million at the very most.
        is_mask: Whether its pixels may all be the same.

    Returns:
        uint8 or uint16 grey levels, axes (row, column), turned upright if the file says so. The
        spacing is 1 mm and marked unknown, except in files written by medgen, which also say
        whether they are from the side.

    Raises:
        InputError: If the file is damaged, coloured, transparent, animated or too large.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: is larger than any radiograph; use a smaller image")
        stored = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as EXIF that is not understood
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            pixels, said = _decode(path, stored, max_voxels)
            geometry = _own_spacing(said)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{path}: is larger than any radiograph; use a smaller image") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: is not a readable PNG or JPEG; save it again") from error
    except _FAULTS as error:
        raise InputError(f"{path}: is damaged or cut short; copy or save it again") from error
    source = Source(path, "png", hashlib.sha256(stored).hexdigest())
    return MedicalImage(
        pixels,
        geometry or flat_detector(),
        Kind(Modality.XRAY, view=View.LATERAL if said.get(_VIEW) == View.LATERAL else None),
        source,
        spacing_is_known=geometry is not None,
        is_mask=is_mask,
    )


def write(
    image: MedicalImage, path: Path, *, provenance: Provenance, overwrite: bool = False
) -> Path:
    """Write a radiograph as PNG: 8 bits if it has them, else 16; marked synthetic in its text.

    Args:
        image: Grey levels from 0 to 65535, axes (row, column).
        path: The file to make; ends in `.png`.
        provenance: How it was made.
        overwrite: Replace an existing file.

    Raises:
        UsageError: If the name does not end in .png, or the image is no radiograph.
        OutputError: If the file exists or cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: radiographs are written as .png; JPEG would lose grey levels")
    if image.voxels.ndim != 2:
        raise UsageError(f"{path}: PNG holds radiographs; write a volume as .nii.gz")
    if image.voxels.min() < 0 or image.voxels.max() > 65535:
        raise UsageError(f"{path}: PNG holds grey levels from 0 to 65535; scale the image first")
    is_byte = image.voxels.dtype == np.uint8
    pixels = np.ascontiguousarray(np.rint(image.voxels).astype(np.uint8 if is_byte else np.uint16))
    text = PngImagePlugin.PngInfo()
    text.add_text("Synthetic", "yes")
    text.add_text("Software", f"medgen {__version__}")
    text.add_text("Description", provenance.sentence)
    if image.spacing_is_known:
        row, column, _ = image.geometry.spacing
        text.add_text(_SPACING, f"{row!r} {column!r}")
    if image.kind is not None and image.kind.view:
        text.add_text(_VIEW, image.kind.view)
    with atomic_file(path, overwrite=overwrite) as temporary, temporary.open("wb") as file:
        Image.fromarray(pixels).save(file, format="PNG", pnginfo=text)
    return path


def _decode(
    path: Path, stored: bytes, max_voxels: int | float
) -> tuple[Shaped[np.ndarray, "row column"], Mapping[Any, Any]]:
    """The pixels, and what the file says besides."""
    with Image.open(io.BytesIO(stored), formats=("PNG", "JPEG")) as checked:
        check_voxels(path, (checked.height, checked.width), min(max_voxels, MAX_PIXELS))
        if checked.format == "PNG":
            check_png(path, stored)  # decoding alone overlooks checksums and missing rows
    with Image.open(io.BytesIO(stored), formats=("PNG", "JPEG")) as image:
        if getattr(image, "n_frames", 1) > 1:
            raise InputError(f"{path}: holds several pictures; save one of them as PNG")
        image.load()
        tolerance = _JPEG_TOLERANCE if image.format == "JPEG" else 0
        grey = _grey(path, ImageOps.exif_transpose(image), tolerance)
        return np.asarray(grey), image.info


def _grey(path: Path, image: Image.Image, tolerance: int) -> Image.Image:
    if image.mode in ("L", "I;16"):
        return image
    if image.mode not in ("LA", "P", "RGB", "RGBA"):
        raise InputError(f"{path}: has {image.mode} pixels; save it as 8 or 16-bit greyscale PNG")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if np.asarray(image.getchannel("A")).min() < 255:
            raise InputError(f"{path}: is partly transparent; save it as greyscale PNG")
    red, green, blue = (np.asarray(band, np.int16) for band in image.convert("RGB").split())
    if max(np.abs(red - green).max(), np.abs(green - blue).max()) > tolerance:
        raise InputError(f"{path}: is a colour picture; medgen reads grey radiographs")
    return image.convert("RGB").convert("L")


def _own_spacing(said: Mapping[Any, Any]) -> Geometry | None:
    """The detector of a file that medgen wrote; None if it does not say."""
    if not (words := said.get(_SPACING)):
        return None
    row, column = map(float, words.split())
    return flat_detector(row, column)
