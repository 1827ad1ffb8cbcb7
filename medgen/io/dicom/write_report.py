"""Reports out: one Basic Text SR, which says in its first line that no person wrote it.

Its headings are those of DICOM PS3.16 TID 2000 (Basic Diagnostic Imaging Report), its author is a
device (TID 1002). It stays preliminary and unverified: only a person could make it more.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage

from medgen import __version__
from medgen.errors import UsageError
from medgen.io.atomic import atomic_file
from medgen.io.dicom.header import SourceHeader
from medgen.io.dicom.identity import Identity, header_of, identify_report
from medgen.io.dicom.marking import IMPLEMENTATION, SOFTWARE, code, new_instance, save
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance

SERIES_NUMBER = 9004  # far from scanners', after those of the images
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
NOT_FOR_CLINICAL_USE = "Research only; not for clinical use."
LANGUAGE = ("121049", "DCM", "Language of Content Item and Descendants")
TITLE = ("18748-4", "LN", "Diagnostic Imaging Report")


@dataclass(frozen=True)
class ReportText:
    """What a report says, by section; an empty section is not written.

    Attributes:
        findings: What the images show.
        impression: What it means.
        indication: Why they were made.
        technique: How they were made.
    """

    findings: str = ""
    impression: str = ""
    indication: str = ""
    technique: str = ""


# Field of ReportText: heading (PS3.16 CID 7001) and what stands below it (CID 7002).
SECTIONS = {
    "indication": (
        ("18785-6", "LN", "Indications for Procedure"),
        ("11329-0", "LN", "History"),
    ),
    "technique": (
        ("55111-9", "LN", "Current Procedure Descriptions"),
        ("121065", "DCM", "Procedure Description"),
    ),
    "findings": (("59776-5", "LN", "Findings"), ("121071", "DCM", "Finding")),
    "impression": (("19005-8", "LN", "Impressions"), ("121073", "DCM", "Impression")),
}


def write_text_sr(
    report: ReportText,
    path: Path,
    sources: Sequence[MedicalImage],
    provenance: Provenance,
    *,
    overwrite: bool = False,
    keep_patient: bool = False,
) -> Path:
    """Write a report as a synthetic Basic Text SR; the same report gives the same bytes.

    It lies in the study that an image made from the same source lies in. As with images, UIDs of
    the sources are written only if the patient is kept: anyone with access to the archive could
    look them up.

    Args:
        report: What it says.
        path: The file, `.dcm`.
        sources: The images it is about, the current study's first. Those that were not read from
            DICOM cannot be referred to.
        provenance: How it was made.
        overwrite: Replace what is there.
        keep_patient: Keep the patient and study of the first DICOM source, and refer to the images.

    Returns:
        `path`.

    Raises:
        UsageError: If it says nothing, or there is not one patient to keep.
        OutputError: If it exists or cannot be written.
    """
    texts = {name: _unformatted(getattr(report, name)) for name in SECTIONS}
    if not (texts["findings"] or texts["impression"]):
        raise UsageError(f"{path}: the report is empty; it needs findings or an impression")
    identity = identify_report(
        "\0".join(texts.values()), sources, provenance=provenance, keep_patient=keep_patient
    )
    known = [header for header in map(header_of, sources) if header and header.series]
    headers = known if identity.is_kept else []
    made = _document(identity, headers, provenance)
    made.ContentSequence = [*_context(provenance), *_sections(texts, headers)]
    with atomic_file(path, overwrite=overwrite) as temporary:
        save(made, temporary)
    return path


def _document(
    identity: Identity, headers: Sequence[SourceHeader], provenance: Provenance
) -> Dataset:
    """Everything but the content."""
    sentence = provenance.sentence_of("report")
    made = new_instance(
        BasicTextSRStorage,
        0,
        what="SR",
        identity=identity,
        provenance=provenance,
        sentence=sentence,
    )
    made.Modality, made.SeriesNumber = "SR", SERIES_NUMBER
    made.ReferencedPerformedProcedureStepSequence = made.PerformedProcedureCodeSequence = []
    made.CompletionFlag, made.PreliminaryFlag = "COMPLETE", "PRELIMINARY"
    made.VerificationFlag = "UNVERIFIED"
    made.ValueType, made.ContinuityOfContent = "CONTAINER", "SEPARATE"
    made.ConceptNameCodeSequence = [code(*TITLE)]
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "2000"
    made.ContentTemplateSequence = [template]
    current, other = _evidence(identity, headers)
    if current:
        made.CurrentRequestedProcedureEvidenceSequence = current
    if other:
        made.PertinentOtherEvidenceSequence = other
    return made


def _evidence(
    identity: Identity, headers: Sequence[SourceHeader]
) -> tuple[list[Dataset], list[Dataset]]:
    """The images of the report's own study, and those of others, such as a prior one."""
    current: list[Dataset] = []
    other: list[Dataset] = []
    named = sorted(headers, key=lambda header: header.study)
    for study, group in groupby(named, key=lambda header: header.study):
        item = Dataset()
        item.StudyInstanceUID = study or identity.study
        item.ReferencedSeriesSequence = list(_series(list(group)))
        (current if item.StudyInstanceUID == identity.study else other).append(item)
    return current, other


def _series(headers: Sequence[SourceHeader]) -> Iterator[Dataset]:
    named = sorted(headers, key=lambda header: header.series)
    for series, group in groupby(named, key=lambda header: header.series):
        classes = {
            one.sop_instance: one.sop_class
            for header in group
            for one in header.instances
            if one.sop_instance
        }
        item = Dataset()
        item.SeriesInstanceUID = series
        item.ReferencedSOPSequence = [_reference(*pair) for pair in classes.items()]
        yield item


def _reference(sop_instance: str, sop_class: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
    return item


def _context(provenance: Provenance) -> Iterator[Dataset]:
    """In which language it is, that a device observed it, and what every reader must see."""
    language = _item("HAS CONCEPT MOD", "CODE", *LANGUAGE)
    language.ConceptCodeSequence = [code("en", "RFC5646", "English")]
    yield language
    kind = _item("HAS OBS CONTEXT", "CODE", "121005", "DCM", "Observer Type")
    kind.ConceptCodeSequence = [code("121007", "DCM", "Device")]
    yield kind
    uid = _item("HAS OBS CONTEXT", "UIDREF", "121012", "DCM", "Device Observer UID")
    uid.UID = IMPLEMENTATION
    yield uid
    name = _item("HAS OBS CONTEXT", "TEXT", "121013", "DCM", "Device Observer Name")
    name.TextValue = f"{SOFTWARE} {__version__}"
    yield name
    mark = _item("CONTAINS", "TEXT", "121106", "DCM", "Comment")
    mark.TextValue = f"{provenance.sentence_of('report')}. {NOT_FOR_CLINICAL_USE}"
    yield mark


def _sections(texts: dict[str, str], headers: Sequence[SourceHeader]) -> Iterator[Dataset]:
    for name, (heading, element) in SECTIONS.items():
        if not texts[name]:
            continue
        section = _item("CONTAINS", "CONTAINER", *heading)
        section.ContinuityOfContent = "SEPARATE"
        said = _item("CONTAINS", "TEXT", *element)
        said.TextValue = texts[name]
        section.ContentSequence = [said]
        if name == "findings" and (images := list(_images(headers))):
            said.ContentSequence = images
        yield section


def _images(headers: Sequence[SourceHeader]) -> Iterator[Dataset]:
    """A link to every radiograph; a volume's hundreds of slices are evidence and no more."""
    for header in headers:
        if len(header.instances) == 1 and header.instances[0].sop_instance:
            (instance,) = header.instances
            item = Dataset()
            item.RelationshipType, item.ValueType = "INFERRED FROM", "IMAGE"
            reference = _reference(instance.sop_instance, instance.sop_class)
            if instance.frame is not None:
                reference.ReferencedFrameNumber = instance.frame
            item.ReferencedSOPSequence = [reference]
            yield item


def _item(relation: str, value: str, *concept: str) -> Dataset:
    """One node of the content tree, without its value."""
    item = Dataset()
    item.RelationshipType, item.ValueType = relation, value
    item.ConceptNameCodeSequence = [code(*concept)]
    return item


def _unformatted(text: str) -> str:
    """Text as DICOM's UT has it: lines end in CR LF, no other control character is allowed."""
    lines = (line.replace("\t", " ").strip() for line in text.strip().splitlines())
    return "\r\n".join(CONTROL.sub("", line) for line in lines)
