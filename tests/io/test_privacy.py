"""Nothing that names a patient, a place or a visit passes from a source into what is written."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, generate_uid

from medgen.io import dicom
from medgen.io.privacy import ALLOWED_VALUES, allowed_facts, new_uid, shows_a_face
from medgen.io.provenance import Provenance
from medgen.modality import Kind

PROVENANCE = Provenance("translate", "base", "0123456789abcdef", seed=7)
HU = np.random.default_rng(0).integers(-1000, 2000, (5, 4, 3)).astype(np.int16)
AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])


def words(text: str) -> list[str]:
    return text.split()


# Attributes that the basic profile of PS3.15 table E.1-1 removes, empties or replaces, by VR.
NAMES = words(
    "PatientName OtherPatientNames PatientBirthName PatientMotherBirthName "
    "ReferringPhysicianName PerformingPhysicianName OperatorsName "
    "NameOfPhysiciansReadingStudy PhysiciansOfRecord RequestingPhysician "
    "ScheduledPerformingPhysicianName ConsultingPhysicianName"
)
SHORT = words(
    "AccessionNumber StudyID StationName EthnicGroup PatientTelephoneNumbers "
    "RequestingService PerformedProcedureStepID ScheduledProcedureStepID "
    "FillerOrderNumberProcedure"
)
LONG = words(
    "PatientID OtherPatientIDs IssuerOfPatientID InstitutionName InstitutionalDepartmentName "
    "StudyDescription SeriesDescription ProtocolName DeviceSerialNumber PatientAddress "
    "MedicalRecordLocator CountryOfResidence RegionOfResidence Occupation AdmissionID "
    "RequestedProcedureDescription PerformedProcedureStepDescription CurrentPatientLocation "
    "PatientInstitutionResidence PatientReligiousPreference MedicalAlerts Allergies "
    "AdmittingDiagnosesDescription ContrastBolusAgent DetectorID GantryID PlateID "
    "BodyPartExamined ViewPosition PatientPosition Manufacturer ManufacturerModelName "
    "SoftwareVersions"
)
TEXT = words(
    "InstitutionAddress PatientComments AdditionalPatientHistory ImageComments "
    "DerivationDescription IdentifyingComments AcquisitionComments RequestedProcedureComments "
    "CommentsOnThePerformedProcedureStep AcquisitionDeviceProcessingDescription VisitComments"
)
DATES = words(
    "PatientBirthDate StudyDate SeriesDate AcquisitionDate ContentDate InstanceCreationDate "
    "PerformedProcedureStepStartDate LastMenstrualDate"
)
UIDS = words(
    "SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID "
    "IrradiationEventUID DeviceUID CreatorVersionUID SynchronizationFrameOfReferenceUID"
)


def plant(one: Dataset) -> list[str]:
    """Put a canary into every tag above, a private tag, nested items and text values of codes."""
    canaries = []

    def canary(width: int = 16) -> str:
        canaries.append(f"CANARY{len(canaries):03d}X"[:width])
        return canaries[-1]

    with pydicom.config.disable_value_validation():
        for keyword in (*NAMES, *SHORT, *LONG, *TEXT):
            if pydicom.datadict.tag_for_keyword(keyword):
                setattr(one, keyword, canary())
        for day, keyword in enumerate(DATES, start=10):
            setattr(one, keyword, f"196703{day}")
            canaries.append(f"196703{day}")
        for keyword in UIDS:
            setattr(one, keyword, generate_uid())
            canaries.append(one[keyword].value)
        one.PatientAge, one.PatientSex, one.PatientWeight = "097Y", "O", "123.4567"
        canaries.extend(["097Y", "123.4567"])
        one.private_block(0x0011, "CANARYPRIV", create=True).add_new(1, "LO", canary())
        nested, referenced = Dataset(), Dataset()
        nested.AccessionNumber, nested.RequestedProcedureID = canary(), canary()
        one.RequestAttributesSequence = [nested]
        referenced.ReferencedSOPInstanceUID = generate_uid()
        canaries.append(referenced.ReferencedSOPInstanceUID)
        one.ReferencedImageSequence = [referenced]
        one.ImageType = ["ORIGINAL", "PRIMARY", canary()]
    return [*canaries, "CANARYPRIV"]


def written_bytes(path: Path) -> bytes:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return b"".join(file.name.encode() + file.read_bytes() for file in files)


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_no_canary_sings_in_a_volume(
    tmp_path: Path, plain_dicom: SimpleNamespace, modality: str
) -> None:
    slices = plain_dicom.slices(np.abs(HU), AFFINE, modality)
    canaries = plant(slices[0])
    for one in slices[1:]:
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
            setattr(one, keyword, slices[0][keyword].value)
    assert len(canaries) >= 30
    source = dicom.read(plain_dicom.save(slices, tmp_path / "Doe^Jane-CANARYPATH"))
    for kind in ("ct", "mri:t1"):
        made = source.with_voxels(source.voxels, Kind.parse(kind))
        path = dicom.write(made, tmp_path / kind.replace(":", "_"), provenance=PROVENANCE)
        found = written_bytes(path)
        assert not [canary for canary in canaries if canary.encode() in found]
        assert not re.search(rb"CANARY|Doe|MRN-4711", found)
    assert not [canary for canary in canaries if canary in repr(source)]


def test_no_canary_sings_in_a_radiograph(tmp_path: Path, plain_dicom: SimpleNamespace) -> None:
    grey = np.abs(HU[:, :, 0]).astype(np.uint16)
    one = plain_dicom.object(grey, ComputedRadiographyImageStorage, "CR")
    canaries = plant(one)
    source = dicom.read(plain_dicom.save(one, tmp_path / "in.dcm"))
    found = written_bytes(dicom.write(source, tmp_path / "out.dcm", provenance=PROVENANCE))
    assert not [canary for canary in canaries if canary.encode() in found]


def test_no_canary_sings_in_an_error(tmp_path: Path, plain_dicom: SimpleNamespace) -> None:
    slices = plain_dicom.slices(HU, AFFINE)
    canaries = plant(slices[0])
    slices[0].PixelData = slices[0].PixelData[:7]
    with pytest.raises(Exception, match="truncated") as caught:
        dicom.read(plain_dicom.save(slices[0], tmp_path / "slice.dcm"))
    assert not [canary for canary in canaries if canary in str(caught.value)]


def test_keeping_the_patient_keeps_no_place_and_no_comment(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    one = plain_dicom.slices(HU, AFFINE)[0]
    plant(one)
    source = dicom.read(plain_dicom.save(one, tmp_path / "in.dcm"))
    path = dicom.write(source, tmp_path / "out", provenance=PROVENANCE, keep_patient=True)
    made = pydicom.dcmread(path / "0001.dcm")
    assert made.PatientName == one.PatientName
    for keyword in (*LONG[3:5], *LONG[8:], *TEXT[:4]):
        assert "CANARY" not in str(made.get(keyword, ""))


def test_only_listed_words_pass() -> None:
    said = {"BodyPartExamined": "HEAD", "ViewPosition": "JANE DOE", "PatientName": "Doe"}
    assert allowed_facts(said) == {"BodyPartExamined": "HEAD"}
    assert all(
        re.fullmatch(r"[A-Z]+|[LRAPHF]\\[LRAPHF]", word)
        for words in ALLOWED_VALUES.values()
        for word in words
    )


def test_a_new_uid_depends_on_every_part_and_on_their_borders() -> None:
    assert new_uid("a", "b") == new_uid("a", "b")
    assert len({new_uid("a", "b"), new_uid("ab"), new_uid("a", "c"), new_uid("a", "b", "")}) == 4
    assert pydicom.uid.UID(new_uid("a")).is_valid


def test_a_volume_of_an_unknown_part_counts_as_a_head() -> None:
    assert shows_a_face(None, is_volume=True)
    assert not shows_a_face("CHEST", is_volume=True)
    assert all(shows_a_face(part, is_volume=True) for part in ("HEAD", "NECK", "WHOLEBODY"))
    assert not shows_a_face("HEAD", is_volume=False)
