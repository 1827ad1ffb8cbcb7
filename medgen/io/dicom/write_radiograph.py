"""Radiographs out: digital X-ray where the pixel size is known, computed radiography otherwise."""

import numpy as np
from jaxtyping import Shaped
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation

from medgen.io.dicom.identity import Identity, header_of, identify
from medgen.io.dicom.marking import add_facts, add_laterality, code, decimals, new_object
from medgen.io.dicom.own_grey import OwnGrey, own_grey
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.modality import Kind

REGIONS = {  # BodyPartExamined to SNOMED CT (DICOM PS3.16 annex L)
    "CHEST": ("51185008", "Chest"),
    "HEAD": ("69536005", "Head"),
    "SKULL": ("89546000", "Skull"),
    "NECK": ("45048000", "Neck"),
    "ABDOMEN": ("818981001", "Abdomen"),
    "PELVIS": ("12921003", "Pelvis"),
}
MIN_BITS, MAX_BITS = 8, 16


def radiograph_object(
    image: MedicalImage,
    kind: Kind,
    *,
    provenance: Provenance,
    keep_patient: bool,
    keep_steps: bool = False,
) -> Dataset:
    """Make the object of one radiograph.

    Whole grey levels from 0 to 65535 are stored as they are; others are spread over 16 bits,
    because a radiograph for presentation has no unit to rescale to.

    Args:
        image: Axes (row, column); high is bright.
        kind: Its kind.
        provenance: How it was made.
        keep_patient: Whether the source's patient and study stay.
        keep_steps: Whether grey levels are stored and shown as in the DICOM that the image was
            read from, so that those that did not change are stored as they were.

    Raises:
        UsageError: If there is no patient to keep.
        InputError: If that DICOM is not there any more.
    """
    own = own_grey(image) if keep_steps else None
    stored = own.values if own else _stored_grey(image.voxels)
    identity = identify(image, stored, provenance=provenance, keep_patient=keep_patient)
    is_dx = image.spacing_is_known and not _was_computed(image) and (own is None or own.is_plain)
    storage = DigitalXRayImageStorageForPresentation if is_dx else ComputedRadiographyImageStorage
    made = new_object(storage, 0, kind=kind, identity=identity, provenance=provenance)
    made.PatientOrientation = _orientation(image, is_dx=is_dx)
    if image.spacing_is_known:
        made.ImagerPixelSpacing = decimals(image.geometry.spacing[:2])
    bits = own.form.bits if own else max(MIN_BITS, int(stored.max()).bit_length())
    _add_pixels(made, stored, bits)
    (_add_dx if is_dx else _add_cr)(made, identity)
    if own:
        _show_as_own(made, own)
    if kind.view:
        add_facts(made, identity.facts, ("ViewPosition",))
    if kind.view and not made.get("ViewPosition"):
        made.ViewPosition = "LL"  # as `medgen.phantom.projection` turns the patient
    return made


def _orientation(image: MedicalImage, *, is_dx: bool) -> list[str]:
    """Where a row runs to, and where a column does; feet are what is inferior.

    Of a DICOM radiograph, what its header says; its geometry is only the usual one, which stands
    where the header is silent and digital X-ray must say something (type 1C).
    """
    header = header_of(image)
    if header is not None and header.affine is None:
        said = header.facts.get("PatientOrientation", "")
        if said or not is_dx:
            return said.split("\\")
    down, across = (image.geometry.orientation[axis] for axis in (0, 1))
    return [letter.translate(str.maketrans("IS", "FH")) for letter in (across, down)]


def _was_computed(image: MedicalImage) -> bool:
    header = header_of(image)
    return header is not None and header.instances[0].sop_class == ComputedRadiographyImageStorage


def _stored_grey(voxels: Shaped[np.ndarray, "row column"]) -> Shaped[np.ndarray, "row column"]:
    low, high = float(voxels.min()), float(voxels.max())
    top = 2**MAX_BITS - 1
    if low >= 0 and high <= top and np.array_equal(voxels, np.rint(voxels)):
        return voxels.astype(np.uint16)
    return np.rint((voxels.astype(np.float64) - low) / (high - low) * top).astype(np.uint16)


def _add_pixels(made: Dataset, stored: Shaped[np.ndarray, "row column"], bits: int) -> None:
    kind, size = stored.dtype.kind, max(stored.dtype.itemsize, MAX_BITS // 8)
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = stored.shape
    made.BitsAllocated, made.BitsStored, made.HighBit = 8 * size, bits, bits - 1
    made.PixelRepresentation = int(kind == "i")
    # The window that maps every stored value to itself (PS3.3 C.11.2.1.2.1).
    made.WindowCenter, made.WindowWidth = decimals([2 ** (bits - 1), 2**bits])
    made.PixelData = stored.astype(f"<{kind}{size}").tobytes()


def _show_as_own(made: Dataset, own: OwnGrey) -> None:
    """Let the stored values of a source be shown as its file shows them."""
    if own.form.is_inverted:
        made.PhotometricInterpretation = "MONOCHROME1"
        if "PresentationLUTShape" in made:
            made.PresentationLUTShape, made.PixelIntensityRelationshipSign = "INVERSE", 1
    if not own.is_plain or "VOILUTSequence" in own.display:
        del made.WindowCenter, made.WindowWidth
    made.update(own.display)


def _add_cr(made: Dataset, identity: Identity) -> None:
    made.Modality = "CR"
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.BodyPartExamined = made.ViewPosition = ""
    add_facts(made, identity.facts, ("BodyPartExamined", "ViewPosition"))
    add_laterality(made)


def _add_dx(made: Dataset, identity: Identity) -> None:
    made.Modality = "DX"
    made.ImageType = ["DERIVED", "SECONDARY", ""]
    made.PresentationIntentType = "FOR PRESENTATION"
    made.ImageLaterality = "U"
    region = REGIONS.get(identity.facts.get("BodyPartExamined", ""))
    made.AnatomicRegionSequence = [code(region[0], "SCT", region[1])] if region else []
    if region is None and "BodyPartExamined" in made:
        del made.BodyPartExamined  # a part that is named must be coded too
    made.PixelIntensityRelationship, made.PixelIntensityRelationshipSign = "LOG", -1
    made.RescaleIntercept, made.RescaleSlope, made.RescaleType = "0", "1", "US"
    made.PresentationLUTShape = "IDENTITY"
    made.DetectorType = made.PositionerType = ""
    made.AcquisitionContextSequence = []
