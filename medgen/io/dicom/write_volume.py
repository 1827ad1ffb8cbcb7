"""CT and MR out: one classic, single-frame object for every slice of a volume."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Shaped
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage

from medgen.errors import GeometryError
from medgen.io.dicom.header import Step
from medgen.io.dicom.identity import Identity, header_of, identify
from medgen.io.dicom.marking import add_facts, add_laterality, decimals, new_object
from medgen.io.dicom.stack import MAX_TILT_DEG
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.modality import Kind, Modality

MAX_SHEAR = 1e-4  # cosine between rows and columns: 0.03 mm across a 256 mm slice
HU_LIMITS = np.iinfo(np.int16)
AS_IT_IS: Step = (1.0, 0.0)
SIGMA = "STD_DEVIATION"  # how pixels are derived, as PS3.3 C.8.16.1.4 defines the term
CT_WINDOW = (40.0, 400.0)  # centre and width, HU: soft tissue
STEPS = 65535  # between the lowest and highest of 16 bits


@dataclass(frozen=True)
class Stored:
    """A volume as 16-bit numbers.

    Attributes:
        values: int16 or uint16, axes (i, j, k).
        steps: Of each slice, what one stored unit is worth, and what a stored zero means.
        clipped: How many voxels did not fit and took the nearest value that does.
        window: Centre and width for display, in the image's unit.
    """

    values: Shaped[np.ndarray, "i j k"]
    steps: Sequence[Step]
    clipped: int
    window: tuple[float, float]


def volume_objects(
    image: MedicalImage,
    kind: Kind,
    *,
    provenance: Provenance,
    keep_patient: bool,
    keep_steps: bool = False,
) -> Iterator[Dataset]:
    """Yield one object per slice, along the last voxel axis.

    Args:
        image: A volume; CT in HU.
        kind: Its kind.
        provenance: How it was made.
        keep_patient: Whether the source's patient and study stay.
        keep_steps: Whether values are stored in the steps of the DICOM that the image was read
            from, so that those that did not change are stored as they were.

    Raises:
        GeometryError: If its axes are sheared: DICOM has no way to say so.
        UsageError: If there is no patient to keep.
    """
    check_straight(image)
    is_ct = kind.modality is Modality.CT
    header = header_of(image) if keep_steps else None
    if header is not None and len(header.steps) == image.voxels.shape[2]:
        stored = _stored_in(header.steps, image.voxels, is_ct=is_ct)
    else:
        stored = _stored_hu(image.voxels) if is_ct else _stored_mr(image.voxels)
    if provenance.is_sigma:
        stored = replace(stored, window=_usual_window(image.voxels))
    identity = identify(image, stored.values, provenance=provenance, keep_patient=keep_patient)
    for k in range(image.voxels.shape[2]):
        sop_class = CTImageStorage if is_ct else MRImageStorage
        made = new_object(sop_class, k, kind=kind, identity=identity, provenance=provenance)
        if stored.clipped:
            made.DerivationDescription += f"; {stored.clipped} voxels clipped to 16 bits"
        _add_plane(made, image.geometry, identity, k)
        _add_pixels(made, stored, k)
        (_add_ct if is_ct else _add_mr)(made, stored.steps[k])
        if provenance.is_sigma:
            made.ImageType = [*made.ImageType, SIGMA]
        yield made


def check_straight(image: MedicalImage) -> None:
    """Refuse a grid that slices cannot have.

    Raises:
        GeometryError: If rows and columns are not perpendicular, or slices are shifted sideways.
    """
    name = image.source.path if image.source else "image"
    axes = image.geometry.affine[:3, :3] / np.array(image.geometry.spacing)
    shear = abs(float(np.dot(axes[:, 0], axes[:, 1])))
    upright = abs(float(np.dot(np.cross(axes[:, 0], axes[:, 1]), axes[:, 2])))
    tilt = float(np.degrees(np.arccos(np.clip(upright, 0, 1))))
    if shear > MAX_SHEAR or tilt > MAX_TILT_DEG:
        raise GeometryError(
            f"{name}: its axes are sheared, which DICOM slices cannot be; write NIfTI (.nii.gz), "
            "or resample it to a straight grid"
        )


def _stored_hu(voxels: Shaped[np.ndarray, "i j k"]) -> Stored:
    rounded = np.rint(voxels)
    outside = (rounded < HU_LIMITS.min) | (rounded > HU_LIMITS.max)
    values = np.clip(rounded, HU_LIMITS.min, HU_LIMITS.max).astype(np.int16)
    return Stored(values, [AS_IT_IS] * values.shape[2], int(np.count_nonzero(outside)), CT_WINDOW)


def _stored_mr(voxels: Shaped[np.ndarray, "i j k"]) -> Stored:
    """Whole numbers of 16 bits as they are; anything else spread over all 16 bits."""
    low, high = float(voxels.min()), float(voxels.max())
    window, slices = _usual_window(voxels), voxels.shape[2]
    for kind in (np.int16, np.uint16):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max and np.array_equal(voxels, np.rint(voxels)):
            window = (window[0], max(window[1], 1.0))
            return Stored(voxels.astype(kind), [AS_IT_IS] * slices, 0, window)
    slope, intercept = map(float, decimals([(high - low) / STEPS, low]))  # as it will be read
    values = np.clip(np.rint((voxels.astype(np.float64) - intercept) / slope), 0, STEPS)
    return Stored(values.astype(np.uint16), [(slope, intercept)] * slices, 0, window)


def _stored_in(
    steps: Sequence[Step], voxels: Shaped[np.ndarray, "i j k"], *, is_ct: bool
) -> Stored:
    """In steps that were 16 bits before; what has left these takes the nearest value in them."""
    slopes, intercepts = np.array(steps).T
    whole = np.rint((voxels.astype(np.float64) - intercepts) / slopes)
    limits = HU_LIMITS if whole.max() <= HU_LIMITS.max else np.iinfo(np.uint16)
    values = whole.clip(limits.min, limits.max)
    window = CT_WINDOW if is_ct else _usual_window(voxels)
    clipped = int(np.count_nonzero(values != whole))
    return Stored(values.astype(limits.dtype), steps, clipped, window)


def _usual_window(voxels: Shaped[np.ndarray, "i j k"]) -> tuple[float, float]:
    """Centre and width that show all but the darkest and brightest hundredth."""
    low, high = float(voxels.min()), float(voxels.max())
    bottom, top = np.percentile(voxels[::2, ::2, ::2], (1, 99))
    return float(bottom + top) / 2, max(float(top - bottom), (high - low) / STEPS)


def _add_plane(made: Dataset, geometry: Geometry, identity: Identity, k: int) -> None:
    """Where the slice lies. Voxel axes i and j are DICOM's column and row index."""
    affine_lps: Float[np.ndarray, "4 4"] = geometry.affine_lps
    spacing_i, spacing_j, spacing_k = geometry.spacing
    along_row, along_column = affine_lps[:3, 0] / spacing_i, affine_lps[:3, 1] / spacing_j
    made.FrameOfReferenceUID = identity.frame_of_reference
    made.PositionReferenceIndicator = ""
    made.PatientPosition = ""
    add_facts(made, identity.facts, ("PatientPosition",))
    add_laterality(made)
    made.ImageOrientationPatient = decimals([*along_row, *along_column])
    made.ImagePositionPatient = decimals(affine_lps[:3, 3] + k * affine_lps[:3, 2])
    made.PixelSpacing = decimals([spacing_j, spacing_i])
    (made.SliceThickness,) = (made.SpacingBetweenSlices,) = decimals([spacing_k])


def _add_pixels(made: Dataset, stored: Stored, k: int) -> None:
    plane = np.ascontiguousarray(stored.values[:, :, k].T)  # (rows, columns)
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = plane.shape
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.PixelRepresentation = int(plane.dtype.kind == "i")
    center, width = decimals(stored.window)
    made.WindowCenter, made.WindowWidth = center, width
    made.PixelData = plane.astype(plane.dtype.newbyteorder("<")).tobytes()


def _add_rescale(made: Dataset, step: Step, unit: str) -> None:
    made.RescaleSlope, made.RescaleIntercept = decimals(step)
    made.RescaleType = unit


def _add_ct(made: Dataset, step: Step) -> None:
    made.Modality = "CT"
    made.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    made.KVP = made.AcquisitionNumber = None
    _add_rescale(made, step, "HU")


def _add_mr(made: Dataset, step: Step) -> None:
    made.Modality = "MR"
    made.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    made.ScanningSequence, made.SequenceVariant = "RM", "NONE"  # research mode, no variant
    made.ScanOptions = ""
    made.MRAcquisitionType = "3D"
    made.RepetitionTime = made.EchoTime = made.EchoTrainLength = None
    if step != AS_IT_IS:
        _add_rescale(made, step, "US")
