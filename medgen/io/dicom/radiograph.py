"""A radiograph as it is meant to be seen: lookup table, window and inversion applied."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi

from medgen.errors import GeometryError, InputError, UsageError
from medgen.io.detector import flat_detector
from medgen.io.dicom.header import IDENTITY_KEYWORDS, Instance, Step, numbers, source_header
from medgen.io.dicom.parse import damage_refused, parse, sha256
from medgen.io.dicom.pixels import PixelForm, stored_frames
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage, Source
from medgen.io.limits import check_voxels
from medgen.modality import Kind, Modality, View

SPACING_KEYWORDS = (  # best first: calibrated, at the detector, at the scanned film
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
)
LATERAL = ("LL", "RL")  # the side that lies on the detector; defined terms of PS3.3 C.8.1.2
DISPLAY_KEYWORDS = (
    "PixelRepresentation",  # whether numbers of a table are signed
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
)


def read_radiograph(
    path: Path, form: PixelForm, *, frame: int | None, max_voxels: int | float
) -> MedicalImage:
    """Read one radiograph; high values are bright.

    Returns:
        Axes (row, column). Grey levels 0 … 2^bits − 1 as float32 where the file has a window or
        table, else as stored. Without a physical pixel size, 1 mm and `spacing_is_known` False.

    Raises:
        UsageError: If the file has several frames and `frame` does not choose one.
        InputError: If it is too large or damaged.
    """
    if form.frames > 1 and (frame is None or not 0 <= frame < form.frames):
        raise UsageError(f"{path}: has {form.frames} frames; choose --frame 0 to {form.frames - 1}")
    check_voxels(path, (form.columns, form.rows, form.frames), max_voxels)
    header = parse(path, (*IDENTITY_KEYWORDS, *SPACING_KEYWORDS, *DISPLAY_KEYWORDS))
    stored = next(stored_frames(path, form, [frame or 0]))
    with damage_refused(path):
        sop = (str(header.get("SOPClassUID") or ""), str(header.get("SOPInstanceUID") or ""))
    instance = Instance(*sop, (frame or 0) + 1 if form.frames > 1 else None)
    spacing = _spacing(path, header)
    return MedicalImage(
        voxels=shown(path, stored, form, header),
        geometry=_flat(path, spacing or (1.0, 1.0)),
        kind=Kind(Modality.XRAY, view=_view(header)),
        source=Source(
            path=path,
            format="dicom",
            sha256=sha256(path),
            header={"dicom": source_header(path, header, (instance,))},
        ),
        spacing_is_known=spacing is not None,
    )


def _view(header: Dataset) -> View | None:
    word = str(header.get("ViewPosition") or "").upper()
    return View.LATERAL if word in LATERAL else None


def shown(
    path: Path, stored: Shaped[np.ndarray, "row column"], form: PixelForm, header: Dataset
) -> Shaped[np.ndarray, "row column"]:
    """Map stored values to grey levels: modality, then VOI, then inversion (PS3.4 N.2)."""
    top = (1 << form.bits) - 1
    with damage_refused(path):
        values, low, high = _measured(stored, form, header)
        if header.get("VOILUTSequence"):
            table = header.VOILUTSequence[0]
            values = apply_voi(np.rint(values).astype(np.int64), header)
            low, high = 0.0, float((1 << int(table.LUTDescriptor[2])) - 1)
    if not header.get("VOILUTSequence") and (window := window_of(path, header)):
        values, low, high = windowed(values, *window) * top, 0.0, float(top)
    if form.is_inverted:
        values = (low + high) - values if values.dtype.kind == "f" else int(low + high) - values
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    return values.astype(np.min_scalar_type(int(high)) if low >= 0 else np.int32)


def windowed(
    values: Shaped[np.ndarray, "*space"], center: float, width: float, shape: str
) -> Float[np.ndarray, "*space"]:
    """Map a window to 0 … 1.

    Args:
        values: In the unit of the window.
        center: Middle of the window.
        width: Its width; at least 1 for LINEAR.
        shape: LINEAR, LINEAR_EXACT or SIGMOID.

    Source: DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3.

    Example:
        >>> windowed(np.array([0, 255]), 128.0, 256.0, "LINEAR").tolist()
        [0.0, 1.0]
    """
    if shape == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -500, 500)))
    if shape == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0, 1)
    if width == 1:
        return np.where(values <= center - 0.5, 0.0, 1.0)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def _measured(
    stored: Shaped[np.ndarray, "row column"], form: PixelForm, header: Dataset
) -> tuple[Shaped[np.ndarray, "row column"], float, float]:
    """Values after the modality's map, with the lowest and highest that it can give."""
    low, high = form.limits
    if header.get("ModalityLUTSequence"):
        bits = int(header.ModalityLUTSequence[0].LUTDescriptor[2])
        return apply_modality_lut(stored, header), 0.0, float((1 << bits) - 1)
    slope, intercept = rescale(header)
    if (slope, intercept) == (1, 0):
        return (
            stored.astype(np.int64 if form.bytes_each == 4 else np.int32),
            float(low),
            float(high),
        )
    ends = sorted((low * slope + intercept, high * slope + intercept))
    return stored * slope + intercept, ends[0], ends[1]


def rescale(header: Dataset) -> Step:
    """What one stored unit is worth, and what a stored zero means."""
    return float(header.get("RescaleSlope") or 1), float(header.get("RescaleIntercept") or 0)


def window_of(path: Path, header: Dataset) -> tuple[float, float, str] | None:
    """The first window of the header: centre, width and shape.

    Raises:
        InputError: If it is none.
    """
    with damage_refused(path):
        both = [header.get(word) for word in ("WindowCenter", "WindowWidth")]
        shape = str(header.get("VOILUTFunction") or "LINEAR")
        if any(one is None or one == "" for one in both):
            return None
        center, width = (float(one[0] if hasattr(one, "__len__") else one) for one in both)
    if not (np.isfinite(center) and width >= (1 if shape == "LINEAR" else 1e-9)):
        raise InputError(f"{path}: its display window {center} ± {width} is impossible; remove it")
    return center, width, shape


def _spacing(path: Path, header: Dataset) -> tuple[float, ...] | None:
    found = (numbers(path, header, word, 2) for word in SPACING_KEYWORDS)
    return next((one for one in found if one), None)


def _flat(path: Path, spacing: tuple[float, ...]) -> Geometry:
    try:
        return flat_detector(*spacing)
    except GeometryError as fault:
        raise GeometryError(f"{path}: {fault}; its header is damaged") from None
