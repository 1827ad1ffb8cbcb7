"""Who a written image belongs to: nobody by default, the source's patient only when asked."""

import hashlib
from collections.abc import Sequence
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
    header = header_of(image)
    content = hashlib.sha256(np.ascontiguousarray(stored).data).hexdigest()
    if header is not None:
        same_grid = _is_on_grid_of(header, image)
        anonymous = replace(_of_dicom(header), is_same_grid=same_grid)
    elif keep_patient:
        name = image.source.path if image.source else "image"
        raise UsageError(f"{name}: is not DICOM and names no patient; leave --keep-patient out")
    else:
        anonymous = _of_nothing(image.source.sha256 if image.source else content)
    made = (provenance.sentence, provenance.model_sha256, str(image.kind), content)
    series = new_uid("series", anonymous.series, *made)
    if keep_patient and header is not None:
        return replace(_kept(anonymous, header), series=series)
    return replace(anonymous, series=series)


def identify_report(
    text: str, sources: Sequence[MedicalImage], *, provenance: Provenance, keep_patient: bool
) -> Identity:
    """Choose the identity a report is written with: the first DICOM source's, if there is one.

    A report lies in one study with what else is made from that source under the same choice.

    Raises:
        UsageError: If the patient shall be kept and there is none, or the sources have several.
    """
    headers = [header for header in map(header_of, sources) if header is not None]
    if keep_patient and not headers:
        raise UsageError("no source is DICOM, so there is no patient; leave --keep-patient out")
    if keep_patient and len({header.patient.get("PatientID", "") for header in headers}) > 1:
        raise UsageError("the sources are of several patients; a report is of one")
    digests = [image.source.sha256 for image in sources if image.source] or [text]
    nothing = _of_nothing("\0".join(digests))
    anonymous = _of_dicom(headers[0]) if headers else nothing
    made = (provenance.sentence_of("report"), provenance.model_sha256, text)
    series = new_uid("series", "report", nothing.series, *made)
    kept = _kept(anonymous, headers[0]) if keep_patient else anonymous
    return replace(kept, series=series)


def header_of(image: MedicalImage) -> SourceHeader | None:
    """What is kept of the DICOM an image was read from; None where it was something else."""
    header = image.source.header.get("dicom") if image.source else None
    return header if isinstance(header, SourceHeader) else None


def _is_on_grid_of(header: SourceHeader, image: MedicalImage) -> bool:
    return (
        header.affine is not None
        and np.allclose(header.affine, image.geometry.affine, rtol=0, atol=1e-6)
        and len(header.instances) == image.voxels.shape[-1]
    )


def _of_dicom(header: SourceHeader) -> Identity:
    study = new_uid("study", header.study or header.series)
    return Identity(
        patient=_nobody(study),
        facts=header.facts,
        study=study,
        series=new_uid("source", header.series, *(one.sop_instance for one in header.instances)),
        frame_of_reference=new_uid("frame", header.frame_of_reference or header.series),
        is_kept=False,
        is_lossy=header.is_lossy,
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
