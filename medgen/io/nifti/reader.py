"""A NIfTI file as a volume, in its own voxel order; nothing it declares is believed unchecked."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped
from nibabel.nifti1 import Nifti1Header, Nifti1PairHeader
from nibabel.nifti2 import Nifti2PairHeader
from nibabel.spatialimages import HeaderDataError

from medgen.errors import GeometryError, InputError, UsageError
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage, Source
from medgen.io.limits import FREE_BYTES, MAX_VOXELS, check_voxels
from medgen.io.nifti.mark import kind_of
from medgen.io.sniff import header_of, image_of, nifti_version
from medgen.io.stream import ByteStream

_HEADERS = {1: (Nifti1PairHeader, 348), 2: (Nifti2PairHeader, 540)}
_DTYPES = {
    **{2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8"},
    **{256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"},
}  # codes of the NIfTI-1 standard
_REFUSED = {1: "1-bit", 32: "complex", 128: "RGB colour", 1536: "128-bit", 1792: "complex"}
_REFUSED |= {2048: "complex", 2304: "RGBA colour"}
_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # xyzt_units: unknown (taken as mm), m, mm, micrometre


@dataclass(frozen=True)
class _Layout:
    """Where the voxels of a file are and how they are stored."""

    shape: tuple[int, int, int]
    frames: int
    dtype: np.dtype
    offset: int
    slope: float
    inter: float

    @property
    def frame_bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class _Opened:
    """A file that is being read; `done` bytes of its stream are."""

    header: Nifti1Header
    layout: _Layout
    stream: ByteStream
    done: int


@dataclass(frozen=True)
class Stored:
    """A volume as its file has it.

    Attributes:
        header: As it stands in the file.
        voxels: Axes (i, j, k); the file's own type and order of bytes, not scaled.
        slope: What one stored unit is worth.
        inter: What a stored zero means.
    """

    header: Nifti1Header
    voxels: Shaped[np.ndarray, "i j k"]
    slope: float
    inter: float


def read(
    path: Path,
    *,
    frame: int | None = None,
    max_voxels: int | float = MAX_VOXELS,
    is_mask: bool = False,
) -> MedicalImage:
    """Read a NIfTI-1 or NIfTI-2 volume: `.nii`, `.nii.gz`, or a `.hdr`/`.img` pair.

    Everything the header declares is checked before memory is taken for it; gzip data is read
    to its end, so that its checksum is verified.

    Args:
        path: The file; either file of a pair.
        frame: Which 3-D volume of a 4-D file, counted from 0.
        max_voxels: The most voxels, over all frames, that the header may declare.
        is_mask: Whether its voxels may all be the same.

    Returns:
        Voxels in the file's own order and type (float32 or float64 where the file scales them);
        the affine of the sform if it is set, else of the qform, else of the voxel spacing.

    Raises:
        InputError: If the file is damaged, holds no volume of real numbers, or lies.
        GeometryError: If its affine cannot place a volume.
        UsageError: If it is 4-D and `frame` does not choose one of its frames.
    """
    digest = hashlib.sha256()
    with _opened(path, digest, max_voxels) as file, np.errstate(invalid="ignore", over="ignore"):
        header = file.header
        geometry = _geometry(path, header)  # what is no number is judged below
        chosen = _choose_frame(path, frame, file.layout.frames)
        with _memory_for(file):
            voxels = _scaled(_read_voxels(file, chosen), file.layout)
            voxels = voxels.reshape(file.layout.shape, order="F")
    details: dict[str, object] = {
        "sform_code": int(header["sform_code"]),
        "qform_code": int(header["qform_code"]),
        "xyzt_units": int(header["xyzt_units"]),
        "version": 2 if _size(header) == 540 else 1,
        "affine": geometry.affine,
    }
    source = Source(path, "nifti", digest.hexdigest(), details)
    return MedicalImage(voxels, geometry, kind_of(header), source, is_mask=is_mask)


def read_stored(path: Path) -> Stored:
    """Read the volume of a file as it is stored, with all that `read` checks but its place.

    Raises:
        InputError: If the file is damaged, or holds several volumes.
    """
    with _opened(path, hashlib.sha256(), MAX_VOXELS) as file:
        layout = file.layout
        if layout.frames > 1:
            raise InputError(f"{path}: holds several volumes; split it first")
        with _memory_for(file):
            voxels = _read_voxels(file, 0).reshape(layout.shape, order="F")
    return Stored(file.header, voxels, layout.slope, layout.inter)


@contextmanager
def _opened(path: Path, digest: "hashlib._Hash", max_voxels: int | float) -> Iterator[_Opened]:
    """Open a file whose header has been checked; of a pair, the file with the voxels."""
    with ExitStack() as stack:
        stream = stack.enter_context(ByteStream(header_of(path), digest))
        header = _parse(path, stream)
        voxels_path = image_of(stream.path)
        is_pair = header["magic"].item()[:2] == b"ni"
        if is_pair:
            if voxels_path == stream.path:
                raise InputError(f"{path}: its .img with the voxels is missing; put it beside it")
            stream.finish()
            stream = stack.enter_context(ByteStream(voxels_path, digest))
        layout = _layout(path, header, is_pair=is_pair, max_voxels=max_voxels)
        yield _Opened(header, layout, stream, done=0 if is_pair else _size(header))


def _parse(path: Path, stream: ByteStream) -> Nifti1Header:
    head = stream.read(348)
    if nifti_version(head) == 2:
        head += stream.read(540 - 348)
    version = nifti_version(head)
    if not version:
        raise InputError(f"{path}: is not NIfTI (no magic in its header); convert it to .nii.gz")
    header_type, size = _HEADERS[version]
    orders = {size.to_bytes(4, "little"): "<", size.to_bytes(4, "big"): ">"}
    if len(head) < size or head[:4] not in orders:
        raise InputError(f"{path}: its NIfTI header is damaged; copy or download it again")
    return header_type(head, endianness=orders[head[:4]], check=False)


def _size(header: Nifti1Header) -> int:
    return header.template_dtype.itemsize


def _layout(path: Path, header: Nifti1Header, *, is_pair: bool, max_voxels: int | float) -> _Layout:
    axes, *shape = (int(length) for length in header["dim"])
    if not 1 <= axes <= 7:
        raise InputError(f"{path}: declares {axes} dimensions; the header is damaged")
    shape = shape[:axes]
    check_voxels(path, shape, max_voxels)
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if len(shape) not in (3, 4):
        raise InputError(f"{path}: is {len(shape)}-D; medgen reads volumes (3-D), or 4-D by frame")
    slope, inter = _scaling(path, header)
    return _Layout(
        shape=(shape[0], shape[1], shape[2]),
        frames=shape[3] if len(shape) == 4 else 1,
        dtype=_dtype(path, header),
        offset=_offset(path, header, lowest=0 if is_pair else _size(header) + 4),
        slope=slope,
        inter=inter,
    )


def _dtype(path: Path, header: Nifti1Header) -> np.dtype:
    code, bits = int(header["datatype"]), int(header["bitpix"])
    if code in _REFUSED:
        raise InputError(f"{path}: holds {_REFUSED[code]} voxels; medgen reads grey volumes")
    if code not in _DTYPES:
        raise InputError(f"{path}: has the unknown data type {code}; the header is damaged")
    dtype = np.dtype(_DTYPES[code]).newbyteorder(header.endianness)
    if bits not in (0, dtype.itemsize * 8):
        raise InputError(f"{path}: data type {code} with {bits} bits; the header is damaged")
    return dtype


def _offset(path: Path, header: Nifti1Header, *, lowest: int) -> int:
    offset = float(header["vox_offset"])
    if not (lowest <= offset <= lowest + FREE_BYTES) or offset != int(offset):
        raise InputError(f"{path}: its voxels start at byte {offset:g}; the header is damaged")
    return int(offset)


def _scaling(path: Path, header: Nifti1Header) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 or NaN means none, as the standard and nibabel say."""
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or np.isnan(slope):
        return 1.0, 0.0
    if not (isfinite(slope) and isfinite(inter)):
        raise InputError(f"{path}: scales its voxels by {slope} and {inter}; the header is damaged")
    return slope, inter


def _geometry(path: Path, header: Nifti1Header) -> Geometry:
    unit = int(header["xyzt_units"]) & 7
    if unit not in _MM:
        raise InputError(f"{path}: has the unknown length unit {unit}; the header is damaged")
    try:
        affine = np.diag([_MM[unit]] * 3 + [1.0]) @ _affine(header)
        return Geometry(affine)
    except GeometryError as error:
        raise GeometryError(f"{path}: {error}; repair its header") from error
    except (HeaderDataError, ValueError, np.linalg.LinAlgError) as error:
        raise GeometryError(f"{path}: its qform is damaged ({error}); repair its header") from error


def _affine(header: Nifti1Header) -> Float[np.ndarray, "4 4"]:
    """Voxel index to RAS+ in the header's unit: sform, else qform, else spacing."""
    if header["sform_code"] > 0:
        return np.asarray(header.get_sform(), np.float64)
    if not (header["pixdim"][1:4] > 0).all():
        raise GeometryError("the voxel spacing is not positive")
    if header["qform_code"] > 0:
        header["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1  # 0 means 1 in the standard
        return np.asarray(header.get_qform(), np.float64)
    return np.asarray(header.get_base_affine(), np.float64)


def _choose_frame(path: Path, frame: int | None, frames: int) -> int:
    if frame is None and frames > 1:
        raise UsageError(
            f"{path}: has {frames} frames; choose one with --frame 0 to {frames - 1}, or, where a "
            "command has no --frame, save it alone"
        )
    if frame is not None and not 0 <= frame < frames:
        raise UsageError(f"{path}: has no frame {frame}; --frame goes from 0 to {frames - 1}")
    return frame or 0


def _read_voxels(file: _Opened, frame: int) -> Shaped[np.ndarray, "n"]:
    """One frame as it is stored, the first axis fastest."""
    stream, layout = file.stream, file.layout
    stream.expect(layout.offset + layout.frames * layout.frame_bytes)
    stream.skip(layout.offset - file.done + frame * layout.frame_bytes)
    flat = np.empty(prod(layout.shape), layout.dtype)
    stream.fill(flat.view(np.uint8).data)
    stream.skip((layout.frames - 1 - frame) * layout.frame_bytes)
    stream.finish()
    return flat


@contextmanager
def _memory_for(file: _Opened) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise InputError(
            f"{file.stream.path}: its {file.layout.frame_bytes / 1e9:.1f} GB do not fit into memory"
        ) from error


def _scaled(stored: Shaped[np.ndarray, "n"], layout: _Layout) -> Shaped[np.ndarray, "n"]:
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    if (layout.slope, layout.inter) == (1.0, 0.0):
        return native
    is_short = native.dtype.itemsize <= 2 or native.dtype == np.float32
    scaled = native.astype(np.float32 if is_short else np.float64)
    np.multiply(scaled, layout.slope, out=scaled)
    return np.add(scaled, layout.inter, out=scaled)
