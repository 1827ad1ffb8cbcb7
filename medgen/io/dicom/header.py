"""What is kept of a DICOM header: facts about the image, apart from facts about the person."""

from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import Float
from numpy import ndarray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from medgen.errors import InputError
from medgen.io.dicom.parse import damage_refused
from medgen.io.privacy import ALLOWED_VALUES, PATIENT_AND_STUDY, allowed_facts

IDENTITY_KEYWORDS = (
    *PATIENT_AND_STUDY,
    *ALLOWED_VALUES,
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "ImageType",
    "LossyImageCompression",
)
Step = tuple[float, float]
"""What one stored unit is worth, and what a stored zero means: RescaleSlope, RescaleIntercept."""

LOSSY_SYNTAXES = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)


@dataclass(frozen=True)
class Instance:
    """One image of the source that a result is derived from.

    Attributes:
        sop_class: Its SOPClassUID.
        sop_instance: Its SOPInstanceUID.
        frame: Frame number from 1 where the file holds several, else None.
    """

    sop_class: str
    sop_instance: str
    frame: int | None = None


@dataclass(frozen=True, repr=False)
class SourceHeader:
    """What the writer wants to know of the DICOM an image was read from.

    Attributes:
        facts: Values that may stay when a result is de-identified.
        patient: The patient and study modules, by keyword; written only when asked.
        study: The source's StudyInstanceUID.
        series: Its SeriesInstanceUID.
        frame_of_reference: Its FrameOfReferenceUID; empty for a radiograph.
        is_lossy: Whether its pixels were ever compressed with loss.
        instances: What it was read from, in the order of the last voxel axis.
        affine: The grid it was read on, so that a result on another grid is known as such.
        steps: Of each of `instances`, what one stored unit is worth, and what a stored zero means;
            empty for a radiograph, and where 16 bits do not hold what is stored.
    """

    facts: dict[str, str]
    patient: dict[str, str]
    study: str
    series: str
    frame_of_reference: str
    is_lossy: bool
    instances: tuple[Instance, ...]
    affine: Float[ndarray, "4 4"] | None = field(default=None)
    steps: tuple[Step, ...] = ()


def source_header(
    path: Path,
    dataset: Dataset,
    instances: tuple[Instance, ...],
    affine: Float[ndarray, "4 4"] | None = None,
    steps: tuple[Step, ...] = (),
) -> SourceHeader:
    """Pick what is kept of a parsed header.

    Raises:
        InputError: If a value of the header cannot be decoded.
    """
    with damage_refused(path):
        dataset.decode()
        said = {key: _text(dataset, key) for key in IDENTITY_KEYWORDS}
    return SourceHeader(
        facts=allowed_facts(said),
        patient={key: said[key] for key in PATIENT_AND_STUDY if said[key]},
        study=said["StudyInstanceUID"],
        series=said["SeriesInstanceUID"],
        frame_of_reference=said["FrameOfReferenceUID"],
        is_lossy=said["LossyImageCompression"] == "01"
        or dataset.file_meta.TransferSyntaxUID in LOSSY_SYNTAXES,
        instances=instances,
        affine=affine,
        steps=steps,
    )


def numbers(path: Path, dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Read an attribute of so many finite numbers; None where it is absent or empty.

    Raises:
        InputError: If it has another count, or is not numeric.
    """
    with damage_refused(path):
        value = dataset.get(keyword)
        if value is None or value == "":
            return None
        many = isinstance(value, MultiValue | list | tuple)
        found = tuple(float(one) for one in (value if many else [value]))
    if not found:
        return None
    if len(found) != count or not all(abs(one) < 1e9 for one in found):
        raise InputError(f"{path}: {keyword} is not {count} numbers; its header is damaged")
    return found


def number(path: Path, dataset: Dataset, keyword: str) -> float | None:
    """Read an attribute of one finite number; None where it is absent or empty."""
    found = numbers(path, dataset, keyword, 1)
    return found[0] if found else None


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
