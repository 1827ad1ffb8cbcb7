"""The numbers of a slice: stored pixels, decoded and mapped to HU or whatever they measure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from medgen.errors import InputError
from medgen.io.dicom.parse import MAX_HEADER, damage_refused, parse, quoted

PIXEL_KEYWORDS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PlanarConfiguration",
)
DATA_KEYWORDS = ("PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths")
MAX_COMPRESSED_FRAME = 2**25  # pixels; the largest detectors have 29 million
MAX_SIDE = 65535  # Rows and Columns are 16-bit unsigned


@dataclass(frozen=True)
class PixelForm:
    """What a file promises about its pixels.

    Attributes:
        rows: Pixels down.
        columns: Pixels across.
        frames: Images in the file.
        bytes_each: Bytes that one pixel takes, 1, 2 or 4.
        bits: Bits that are used of them.
        is_signed: Whether stored values are two's complement.
        is_inverted: Whether the lowest value is shown white (MONOCHROME1).
        syntax: How the data set, and perhaps the pixels, are encoded.
    """

    rows: int
    columns: int
    frames: int
    bytes_each: int
    bits: int
    is_signed: bool
    is_inverted: bool
    syntax: UID

    @property
    def voxels(self) -> int:
        """Pixels in all frames."""
        return self.rows * self.columns * self.frames

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and highest value that can be stored."""
        span = 1 << self.bits
        return (-span // 2, span // 2 - 1) if self.is_signed else (0, span - 1)


def pixel_form(path: Path, header: Dataset) -> PixelForm:
    """Read what a header says about its pixels, and refuse what cannot be.

    Raises:
        InputError: If there is no image, it is in colour, or its sizes are impossible.
    """
    with damage_refused(path):
        rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
        samples = int(header.get("SamplesPerPixel") or 1)
        photometric = str(header.get("PhotometricInterpretation", ""))
        frames = int(header.get("NumberOfFrames") or 1)
        allocated = int(header.get("BitsAllocated") or 0)
        bits = int(header.get("BitsStored") or allocated)
        is_signed = bool(header.get("PixelRepresentation") or 0)
        syntax = UID(str(header.file_meta.TransferSyntaxUID))
    if not (0 < rows <= MAX_SIDE and 0 < columns <= MAX_SIDE and frames > 0):
        raise InputError(f"{path}: holds no image ({rows} x {columns} pixels, {frames} frames)")
    if samples != 1 or not photometric.startswith("MONOCHROME"):
        said = quoted(photometric, 16)
        raise InputError(f"{path}: is not greyscale ({said}); convert it to MONOCHROME2")
    if allocated not in (8, 16, 32) or not 0 < bits <= allocated:
        raise InputError(f"{path}: {bits} of {allocated} bits a pixel; medgen reads 8, 16 and 32")
    return PixelForm(
        rows=rows,
        columns=columns,
        frames=frames,
        bytes_each=allocated // 8,
        bits=bits,
        is_signed=is_signed,
        is_inverted=photometric.startswith("MONOCHROME1"),
        syntax=syntax,
    )


def stored_frames(
    path: Path, form: PixelForm, frames: Sequence[int]
) -> Iterator[Shaped[np.ndarray, "rows columns"]]:
    """Yield the stored values of some frames, in the order asked for.

    Args:
        path: The file.
        form: What its header promises; sizes are checked against it before anything is unpacked.
        frames: Frame numbers, from 0.

    Raises:
        InputError: If the pixels are missing, truncated, longer than promised, or compressed in
            a way that cannot be read here.
    """
    _check_file_size(path, form)
    _check_decodable(path, form)
    dataset = parse(path, (*PIXEL_KEYWORDS, *DATA_KEYWORDS))
    with damage_refused(path):
        data = dataset.get("PixelData")
    if not data:
        raise InputError(f"{path}: has no pixel data; export the images, not only the headers")
    if not form.syntax.is_encapsulated:
        _check_length(path, form, data)
    with damage_refused(path):
        decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
        for number in frames:
            values, _ = decoder.as_array(dataset, index=number, raw=True)
            if values.shape != (form.rows, form.columns):
                raise ValueError
            yield values


def rescaled(
    stored: Shaped[np.ndarray, "*space"], slope: float, intercept: float
) -> Shaped[np.ndarray, "*space"]:
    """Map stored values to what they measure: slope · stored + intercept.

    Returns:
        int16 where every value is a whole number that fits, else int32, else float32.

    Example:
        >>> rescaled(np.array([0, 1064], np.uint16), 1.0, -1024.0)
        array([-1024,    40], dtype=int16)
    """
    if not (slope.is_integer() and intercept.is_integer()):
        return (stored * np.float64(slope) + intercept).astype(np.float32)
    values = stored.astype(np.int64) * int(slope) + int(intercept)
    low, high = int(values.min()), int(values.max())
    for kind in (np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return values.astype(kind)
    return values.astype(np.float32)


def _check_file_size(path: Path, form: PixelForm) -> None:
    """Refuse, before reading it, a file far larger than its pixels need."""
    with damage_refused(path):
        size = path.stat().st_size
    needed = form.voxels * form.bytes_each
    if size > 2 * needed + MAX_HEADER:
        raise InputError(
            f"{path}: is {size >> 20} MiB for {needed >> 20} MiB of pixels; its header is damaged"
        )


def _check_length(path: Path, form: PixelForm, data: bytes) -> None:
    """Compare the bytes that are there with those that the header promises.

    Up to one row of zeros behind the pixels is tolerated, because scanners pad.
    """
    needed = form.voxels * form.bytes_each
    size = f"{form.rows} x {form.columns} x {form.frames} pixels"
    if len(data) < needed:
        raise InputError(
            f"{path}: pixel data is truncated ({len(data)} of {needed} bytes for {size}); "
            "copy or export it again"
        )
    excess = data[needed:]
    if len(excess) > max(1, form.columns * form.bytes_each) or any(excess):
        raise InputError(
            f"{path}: has {len(excess)} bytes more than its {size} need; Rows, Columns or "
            "NumberOfFrames is wrong; export it again"
        )


def _check_decodable(path: Path, form: PixelForm) -> None:
    """Refuse compressed pixels that nothing installed can unpack, or that unpack without bound."""
    syntax = form.syntax
    if not syntax.is_encapsulated or syntax == DeflatedExplicitVRLittleEndian:
        return
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise InputError(
            f"{path}: pixels are compressed as {syntax.name}, which medgen cannot read; "
            "decompress with gdcmconv --raw"
        ) from None
    if not decoder.is_available:
        raise InputError(
            f"{path}: pixels are compressed ({syntax.name}); pip install medgen[dicom]"
        )
    if form.rows * form.columns > MAX_COMPRESSED_FRAME:
        raise InputError(
            f"{path}: a compressed frame of {form.rows} x {form.columns} is not plausible; "
            "if it is genuine, decompress it first (gdcmconv --raw)"
        )
