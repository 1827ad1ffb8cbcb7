"""What may be carried from a real patient's file into a synthetic one: nothing but this list.

Writers build every file from nothing, so a tag that is not named here cannot survive; this is
stricter than the removals of the basic profile of DICOM PS3.15 table E.1-1, which it includes.
Replaced UIDs and pseudonyms are hashes: the same source gives the same ones, so that two series
made from one study stay together and a second run gives the same bytes. Whoever already holds
the original file can recognise them; nobody can compute the original from them.
"""

import hashlib
import uuid
from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ALLOWED_VALUES = {  # facts without a person in them, and the only words each may have
    "BodyPartExamined": _words(
        "HEAD BRAIN SKULL FACE NECK HEADNECK CHEST LUNG HEART ABDOMEN PELVIS SPINE CSPINE "
        "TSPINE LSPINE SHOULDER ELBOW WRIST HAND HIP KNEE ANKLE FOOT EXTREMITY BREAST WHOLEBODY "
        "LIVER PROSTATE"
    ),
    "PatientPosition": _words("HFS HFP HFDR HFDL FFS FFP FFDR FFDL"),
    "ViewPosition": _words("AP PA LL RL LLD RLD LLO RLO"),
    "PatientOrientation": frozenset(  # where rows and columns run to, along the body's axes
        f"{across}\\{down}" for across in "LRAPHF" for down in "LRAPHF"
    ),
}
FACE_PARTS = _words("HEAD BRAIN SKULL FACE HEADNECK NECK CSPINE WHOLEBODY")  # or a part of it

PATIENT_AND_STUDY = (  # the patient and study modules, copied only when a person asks to keep them
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
)

DEIDENTIFICATION_METHOD = "medgen: built anew; no attribute of the source copied"  # LO: 64 chars
NO_DATE, NO_TIME = "19000101", "000000"  # plainly not a visit, and the same in every run


def new_uid(*parts: str) -> str:
    """Derive a UID from its parts: the same parts give the same UID, in any process.

    Returns:
        A UUID as a UID under the root 2.25 (DICOM PS3.5 B.2); at most 44 characters.

    Example:
        >>> new_uid("study", "1.2.3") == new_uid("study", "1.2.3") != new_uid("study", "1.2.4")
        True
    """
    digest = hashlib.sha256("\0".join(["medgen", *parts]).encode()).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"


def pseudonym(study: str) -> str:
    """Name a patient after a replaced study UID.

    It is never made from a name or a number of the patient's: those are few enough to try all.

    Example:
        >>> pseudonym("2.25.1")
        'SYN-49B1B035C2CF'
    """
    return f"SYN-{hashlib.sha256(study.encode()).hexdigest()[:12].upper()}"


def allowed_facts(values: Mapping[str, str]) -> dict[str, str]:
    """Keep the facts that may stay in a de-identified file.

    Free text in a coded field is dropped too: only the listed words pass.

    Args:
        values: DICOM keyword to value, as the source has it.

    Example:
        >>> allowed_facts({"BodyPartExamined": "HEAD", "ViewPosition": "MS DOE", "PatientID": "7"})
        {'BodyPartExamined': 'HEAD'}
    """
    return {key: value for key, value in values.items() if value in ALLOWED_VALUES.get(key, ())}


def shows_a_face(body_part: str | None, *, is_volume: bool) -> bool:
    """Tell whether a face could be reconstructed; a volume of an unknown part counts as a head."""
    return is_volume and (body_part is None or body_part in FACE_PARTS)
