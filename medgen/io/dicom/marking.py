"""What every written object says of itself: synthetic, derived, by whom and from what."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import SupportsFloat

from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from medgen import __version__
from medgen.io.dicom.header import Instance
from medgen.io.dicom.identity import Identity
from medgen.io.privacy import DEIDENTIFICATION_METHOD, NO_DATE, NO_TIME, new_uid, shows_a_face
from medgen.io.provenance import Provenance
from medgen.modality import Kind, Modality

SOFTWARE = "medgen"
IMPLEMENTATION = new_uid("implementation")
MODALITY_WORDS = {Modality.CT: "CT", Modality.MRI: "MR", Modality.XRAY: "X-ray"}
SERIES_NUMBERS = {Modality.CT: 9001, Modality.MRI: 9002, Modality.XRAY: 9003}  # far from scanners'
SIGMA_NUMBERS = 10  # what is added to that of the image which a sigma is of
PARTS_WITH_SIDES = {"", "SHOULDER", "ELBOW", "WRIST", "HAND", "HIP", "KNEE", "ANKLE", "FOOT"} | {
    "EXTREMITY",
    "BREAST",
    "LUNG",
}
REQUIRED_EMPTY = (  # type 2: present, and empty where nothing is known
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """One item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def decimals(values: Iterable[SupportsFloat]) -> list[str]:
    """Write numbers as DICOM decimal strings, at most 16 characters each.

    Example:
        >>> decimals([0.5, -123.45678901234567])
        ['0.5', '-123.45678901235']
    """
    return [format_number_as_ds(float(value)) for value in values]


def new_object(
    sop_class: UID, index: int, *, kind: Kind, identity: Identity, provenance: Provenance
) -> Dataset:
    """Start an object with everything that is the same in CT, MR and radiographs.

    Args:
        sop_class: SOPClassUID.
        index: Number of the image in its series, from 0.
        kind: What the image is.
        identity: Whose it is.
        provenance: How it was made.
    """
    weighting = f" {kind.contrast.upper()}" if kind.contrast else ""
    of = "standard deviation of " if provenance.is_sigma else ""
    made = new_instance(
        sop_class,
        index,
        what=f"{of}{MODALITY_WORDS[kind.modality]}{weighting}",
        identity=identity,
        provenance=provenance,
        sentence=provenance.sentence,
    )
    made.SeriesNumber = SERIES_NUMBERS[kind.modality] + SIGMA_NUMBERS * provenance.is_sigma
    made.DerivationDescription = provenance.sentence[:1024]
    made.BurnedInAnnotation = "NO"
    is_volume = kind.modality is not Modality.XRAY
    face = shows_a_face(identity.facts.get("BodyPartExamined"), is_volume=is_volume)
    made.RecognizableVisualFeatures = "YES" if face else "NO"
    made.LossyImageCompression = "01" if identity.is_lossy else "00"
    add_facts(made, identity.facts, ("BodyPartExamined",))
    _add_references(made, identity, index)
    return made


def new_instance(
    sop_class: UID,
    index: int,
    *,
    what: str,
    identity: Identity,
    provenance: Provenance,
    sentence: str,
) -> Dataset:
    """Start an object with everything that is the same in images and reports.

    Args:
        sop_class: SOPClassUID.
        index: Number of the object in its series, from 0.
        what: What it is, for the description of the series.
        identity: Whose it is.
        provenance: How it was made.
        sentence: The same, in a sentence.
    """
    made = Dataset()
    made.file_meta = _file_meta(sop_class, identity.instance(index))
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = sop_class, UID(identity.instance(index))
    _add_patient(made, identity)
    made.SeriesInstanceUID, made.InstanceNumber = identity.series, index + 1
    made.SeriesDescription = f"SYNTHETIC {what} {provenance.task}"[:64]
    _add_equipment(made, provenance, sentence)
    made.SyntheticData = "YES"
    made.ContentDate, made.ContentTime = NO_DATE, NO_TIME
    return made


def add_facts(made: Dataset, facts: Mapping[str, str], keywords: Sequence[str]) -> None:
    """Copy the facts that are known."""
    for keyword in keywords:
        if keyword in facts:
            setattr(made, keyword, facts[keyword])


def add_laterality(made: Dataset) -> None:
    """Leave open which side is shown, unless the part has no sides."""
    if made.get("BodyPartExamined", "") in PARTS_WITH_SIDES:
        made.Laterality = ""


def save(made: Dataset, path: Path) -> None:
    """Write an object; the bytes depend on nothing but the object.

    Raises:
        OSError: If the system refuses.
    """
    made.save_as(path, enforce_file_format=True)


def _file_meta(sop_class: UID, sop_instance: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, UID(sop_instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION)
    meta.ImplementationVersionName = f"MEDGEN_{__version__}"[:16]
    return meta


def _add_patient(made: Dataset, identity: Identity) -> None:
    with config.disable_value_validation():  # a kept value stays as it was, even if irregular
        for keyword in REQUIRED_EMPTY:
            setattr(made, keyword, "")
        for keyword, value in identity.patient.items():
            setattr(made, keyword, value)
    made.StudyInstanceUID = identity.study
    made.PatientIdentityRemoved = "NO" if identity.is_kept else "YES"
    if not identity.is_kept:
        made.DeidentificationMethod = DEIDENTIFICATION_METHOD


def _add_equipment(made: Dataset, provenance: Provenance, sentence: str) -> None:
    model = f"{SOFTWARE} {provenance.task}"[:64]
    made.Manufacturer, made.ManufacturerModelName = SOFTWARE, model
    made.SoftwareVersions = __version__
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code("109102", "DCM", "Processing Equipment")]
    item.Manufacturer, item.ManufacturerModelName = SOFTWARE, model
    item.SoftwareVersions = __version__
    item.ContributionDateTime = NO_DATE + NO_TIME  # a clock would make every run differ
    item.ContributionDescription = sentence[:1024]
    made.ContributingEquipmentSequence = [item]


def _add_references(made: Dataset, identity: Identity, index: int) -> None:
    if not identity.references:
        return
    same = identity.is_same_grid and len(identity.references) > index
    used = identity.references[index : index + 1] if same else identity.references
    made.SourceImageSequence = [_reference(one, is_same_place=same) for one in used]


def _reference(source: Instance, *, is_same_place: bool) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = source.sop_class
    item.ReferencedSOPInstanceUID = source.sop_instance
    if source.frame is not None:
        item.ReferencedFrameNumber = source.frame
    purpose = code("121322", "DCM", "Source image for image processing operation")
    item.PurposeOfReferenceCodeSequence = [purpose]
    item.SpatialLocationsPreserved = "YES" if is_same_place else "NO"
    return item
