"""Who a written image belongs to: nobody by default, the source's patient only when asked."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Shaped

from medgen.errors import UsageError
from medgen.io.dicom.header import Instance, SourceHeader
from medgen.io.image import MedicalImage
from medgen.io.privacy import NO_DATE, NO_TIME, new_uid, pseudonym
from medgen.io.provenance import Provenance


@dataclass(frozen=True, repr=False)
class Identity:
    """The patient, study and UIDs that a series is written with.

    Attributes:
        patient: Patient and study modules, by keyword.
        facts: Harmless facts of the source, such as the body part.
        study: StudyInstanceUID.
        series: SeriesInstanceUID; always new.
        frame_of_reference: FrameOfReferenceUID.
        is_kept: Whether patient and study are the source's own.
        is_lossy: Whether the source was ever compressed with loss.
        references: The source's images. Empty unless the patient is kept: a SourceImageSequence
            holds UIDs that anyone with access to the archive can look up, which is why PS3.15
            has them replaced; replaced ones would point at nothing, so none is written.
        is_same_grid: Whether voxel k of the result lies where slice k of the source does.
    """

    patient: dict[str, str]
    facts: dict[str, str]
    study: str
    series: str
    frame_of_reference: str
    is_kept: bool
    is_lossy: bool
    references: tuple[Instance, ...] = ()
    is_same_grid: bool = False

    def instance(self, index: int) -> str:
        """The SOPInstanceUID of an image of the series, counted from 0."""
        return new_uid("instance", self.series, str(index))


def identify(
    image: MedicalImage,
    stored: Shaped[np.ndarray, "*space"],
    *,
    provenance: Provenance,
    keep_patient: bool,
) -> Identity:
    """Choose the identity a result is written with.

    UIDs are hashes of the source, of how the result was made, and of the result, so a second
    run makes the same ones and two different results never share one.

    Raises:
        UsageError: If the patient shall be kept and there is none.
    """
    header = image.source.header.get("dicom") if image.source else None
    content = hashlib.sha256(np.ascontiguousarray(stored).data).hexdigest()
    if isinstance(header, SourceHeader):
        anonymous = _of_dicom(header, image)
    elif keep_patient:
        name = image.source.path if image.source else "image"
        raise UsageError(f"{name}: is not DICOM and names no patient; leave --keep-patient out")
    else:
        anonymous = _of_nothing(image.source.sha256 if image.source else content)
    made = (provenance.sentence, provenance.model_sha256, str(image.kind), content)
    series = new_uid("series", anonymous.series, *made)
    if keep_patient and isinstance(header, SourceHeader):
        return replace(_kept(anonymous, header), series=series)
    return replace(anonymous, series=series)


def _of_dicom(header: SourceHeader, image: MedicalImage) -> Identity:
    study = new_uid("study", header.study or header.series)
    grid = header.affine
    return Identity(
        patient=_nobody(study),
        facts=header.facts,
        study=study,
        series=new_uid("source", header.series, *(one.sop_instance for one in header.instances)),
        frame_of_reference=new_uid("frame", header.frame_of_reference or header.series),
        is_kept=False,
        is_lossy=header.is_lossy,
        is_same_grid=grid is not None
        and np.allclose(grid, image.geometry.affine, rtol=0, atol=1e-6)
        and len(header.instances) == image.voxels.shape[-1],
    )


def _of_nothing(digest: str) -> Identity:
    """The identity of what came from a file without one, or from none."""
    study = new_uid("study", digest)
    return Identity(
        patient=_nobody(study),
        facts={},
        study=study,
        series=new_uid("source", digest),
        frame_of_reference=new_uid("frame", digest),
        is_kept=False,
        is_lossy=False,
    )


def _kept(anonymous: Identity, header: SourceHeader) -> Identity:
    return replace(
        anonymous,
        patient={"StudyID": "1", "StudyDate": NO_DATE, "StudyTime": NO_TIME, **header.patient},
        study=header.study or anonymous.study,
        frame_of_reference=header.frame_of_reference or anonymous.frame_of_reference,
        is_kept=True,
        references=tuple(one for one in header.instances if one.sop_instance),
    )


def _nobody(study: str) -> dict[str, str]:
    """The patient and study of a de-identified image."""
    return {
        "PatientName": "SYNTHETIC^MEDGEN",
        "PatientID": pseudonym(study),
        "StudyDate": NO_DATE,
        "StudyTime": NO_TIME,
        "StudyID": "SYN",
    }
