"""DICOM segmentations in: the segments of a SEG object as one label map."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from pydicom.dataset import Dataset

from medgen.errors import InputError
from medgen.io.dicom.parse import damage_refused, parse, sha256
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage, Source
from medgen.io.limits import MAX_VOXELS, check_voxels

STORAGE = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # SEG, label map SEG
FORM = ("SOPClassUID", "Rows", "Columns", "NumberOfFrames")
CONTENT = (
    *("SegmentationType", "MaximumFractionalValue", "SamplesPerPixel", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "PixelData"),
)
HALF = 0.5  # of the largest value of a fractional segment: more is inside
MOST_BESIDE_MM = 0.1  # that a frame may lie off the line through the first: rounding
MOST_GAPS = 4000  # slices of the smallest grid that holds all frames


@dataclass(frozen=True)
class _Frame:
    """One plane of one segment.

    Attributes:
        number: Of the segment; 0 where the pixels themselves say.
        position: Centre of the first pixel, LPS+ mm.
    """

    number: int
    position: Float[np.ndarray, "3"]


def read_segmentation(path: Path) -> MedicalImage:
    """Read a SEG object: binary, fractional or label map.

    Args:
        path: The file.

    Returns:
        The number of the segment of each voxel, 0 outside of all; where segments overlap, the
        highest. Axes (column, row, slice); slices without any frame are filled in.

    Raises:
        InputError: If it is no segmentation, damaged, or its frames lie in no row.
    """
    with damage_refused(path):
        head = parse(path, FORM)
        sop_class = str(head.get("SOPClassUID", ""))
    if sop_class not in STORAGE:
        raise InputError(f"{path}: is DICOM but no segmentation; export the mask as SEG or NIfTI")
    with damage_refused(path):
        shape = int(head.Rows), int(head.Columns), int(head.get("NumberOfFrames", 1))
        check_voxels(path, shape, MAX_VOXELS)
        whole = parse(path, (*FORM, *CONTENT))
        pixels = np.asarray(whole.pixel_array).reshape(shape[2], *shape[:2])
        frames = [_frame(whole, at) for at in range(shape[2])]
        directions, spacing, step = _plane(whole)
    places = _places(frames, directions, step, path)
    whole_shape = shape[1], shape[0], max(places) + 1
    check_voxels(path, whole_shape, MAX_VOXELS)
    largest = max(
        frame.number or int(plane.max()) for frame, plane in zip(frames, pixels, strict=True)
    )
    voxels = np.zeros(whole_shape, np.uint8 if largest <= np.iinfo(np.uint8).max else np.uint16)
    limit = HALF * float(whole.get("MaximumFractionalValue", 1))
    for frame, place, plane in zip(frames, places, pixels, strict=True):
        found = plane.T if not frame.number else np.where(limit < plane.T, frame.number, 0)
        voxels[:, :, place] = np.maximum(voxels[:, :, place], found.astype(voxels.dtype))
    origin = frames[places.index(0)].position
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array([spacing[1], spacing[0], _step(places, frames, step)])
    affine[:3, 3] = origin
    source = Source(path, "dicom", sha256(path))
    return MedicalImage(voxels, Geometry.from_lps(affine), source=source, is_mask=True)


def _groups(whole: Dataset, at: int, keyword: str) -> Dataset:
    """A functional group of a frame: its own, or that of all."""
    own = whole.PerFrameFunctionalGroupsSequence[at]
    return (own if keyword in own else whole.SharedFunctionalGroupsSequence[0])[keyword].value[0]


def _frame(whole: Dataset, at: int) -> _Frame:
    position = _groups(whole, at, "PlanePositionSequence").ImagePositionPatient
    is_map = str(whole.get("SegmentationType", "")) == "LABELMAP"
    number = 0
    if not is_map:
        named = _groups(whole, at, "SegmentIdentificationSequence")
        number = int(named.ReferencedSegmentNumber)
    return _Frame(number, np.array([float(value) for value in position]))


def _plane(whole: Dataset) -> tuple[Float[np.ndarray, "3 3"], tuple[float, float], float]:
    """Directions of columns, rows and slices, LPS+; row and column spacing; slice spacing, mm."""
    cosines = _groups(whole, 0, "PlaneOrientationSequence").ImageOrientationPatient
    along_row, along_column = np.array([float(one) for one in cosines]).reshape(2, 3)
    measures = _groups(whole, 0, "PixelMeasuresSequence")
    rows, columns = (float(one) for one in measures.PixelSpacing)
    step = float(measures.get("SpacingBetweenSlices", 0) or measures.get("SliceThickness", 0))
    normal = np.cross(along_row, along_column)
    return np.stack([along_row, along_column, normal], axis=1), (rows, columns), step


def _places(
    frames: list[_Frame], directions: Float[np.ndarray, "3 3"], step: float, path: Path
) -> list[int]:
    """The slice of each frame, from 0."""
    offsets = np.array([frame.position - frames[0].position for frame in frames])
    depths = offsets @ directions[:, 2]
    beside = offsets - depths[:, None] * directions[:, 2]
    if np.abs(beside).max() > MOST_BESIDE_MM:
        raise InputError(f"{path}: its frames lie beside each other; export it as NIfTI")
    apart = np.diff(np.unique(depths.round(3)))
    if len(apart):  # positions are rounded, so the smallest step is only nearly one
        near = float(apart[apart < 1.5 * apart.min()].mean())
        step = float(np.ptp(depths)) / round(float(np.ptp(depths)) / near)
    step = step or 1.0
    places = (depths - depths.min()) / step
    if np.abs(places - places.round()).max() > 0.05 or places.max() > MOST_GAPS:
        raise InputError(f"{path}: its frames are unevenly spaced; export it as NIfTI")
    return [int(one) for one in places.round()]


def _step(places: list[int], frames: list[_Frame], step: float) -> float:
    """Between slices, mm: as frames lie, or as the header says where there is one slice."""
    last = max(places)
    if not last:
        return step or 1.0
    first, final = (frames[places.index(each)].position for each in (0, last))
    return float(np.linalg.norm(final - first) / last)
