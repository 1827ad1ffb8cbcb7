"""A report comes back as it was written, says it is synthetic, and names nobody unless asked."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage
from pydicom.uid import DigitalXRayImageStorageForPresentation as DXImageStorage

from medgen.errors import OutputError, UsageError
from medgen.io import dicom
from medgen.io.dicom import ReportText, write_text_sr
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.modality import Kind

PROVENANCE = Provenance("report", "base", "0123456789abcdef", seed=7)
REPORT = ReportText(
    findings="Large left pleural effusion.\nNo pneumothorax. Größe 5 µm < 3 \\ 2.",
    impression="Effusion.",
    indication="Dyspnoea.",
    technique="PA chest.",
)
GREY = np.arange(72, dtype=np.uint16).reshape(8, 9)


def chest(plain_dicom: SimpleNamespace, path: Path, **attributes: str) -> MedicalImage:
    values = {"ImagerPixelSpacing": ["0.2", "0.2"], "StudyDate": "20200131", **attributes}
    return dicom.read(
        plain_dicom.save(plain_dicom.object(GREY, DXImageStorage, "DX", **values), path)
    )


def written(path: Path, *sources: MedicalImage, keep_patient: bool = False) -> Dataset:
    write_text_sr(REPORT, path, sources, PROVENANCE, keep_patient=keep_patient)
    return pydicom.dcmread(path)


def sections(made: Dataset) -> dict[str, str]:
    """Text by the meaning of its heading."""
    return {
        item.ConceptNameCodeSequence[0].CodeMeaning: item.ContentSequence[0].TextValue
        for item in made.ContentSequence
        if item.ValueType == "CONTAINER"
    }


def test_the_text_comes_back_by_section(tmp_path: Path) -> None:
    made = written(tmp_path / "report.dcm")
    assert sections(made) == {
        "Indications for Procedure": REPORT.indication,
        "Current Procedure Descriptions": REPORT.technique,
        "Findings": REPORT.findings.replace("\n", "\r\n"),
        "Impressions": REPORT.impression,
    }
    assert made.SOPClassUID == BasicTextSRStorage
    assert made.ConceptNameCodeSequence[0].CodeValue == "18748-4"


def test_sections_without_text_are_left_out(tmp_path: Path) -> None:
    path = write_text_sr(ReportText(impression="Normal.\x07"), tmp_path / "r.dcm", [], PROVENANCE)
    assert sections(pydicom.dcmread(path)) == {"Impressions": "Normal."}
    with pytest.raises(UsageError, match="empty"):
        write_text_sr(ReportText(" \n", technique="PA"), tmp_path / "e.dcm", [], PROVENANCE)


def test_it_says_that_it_is_synthetic_and_that_nobody_has_read_it(tmp_path: Path) -> None:
    made = written(tmp_path / "report.dcm")
    sentence = "SYNTHETIC report by medgen"
    assert made.SyntheticData == "YES"
    assert made.Manufacturer == "medgen"
    assert made.SeriesDescription == "SYNTHETIC SR report"
    assert made.ContributingEquipmentSequence[0].ContributionDescription.startswith(sentence)
    assert (made.VerificationFlag, made.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    comment = next(item for item in made.ContentSequence if item.RelationshipType == "CONTAINS")
    assert comment.TextValue.startswith(sentence)
    assert "not for clinical use" in comment.TextValue
    observer = {
        item.ConceptNameCodeSequence[0].CodeValue: item
        for item in made.ContentSequence
        if item.RelationshipType == "HAS OBS CONTEXT"
    }
    assert observer["121005"].ConceptCodeSequence[0].CodeMeaning == "Device"
    assert observer["121013"].TextValue.startswith("medgen")


def test_nothing_of_the_source_is_in_it_by_default(
    plain_dicom: SimpleNamespace, tmp_path: Path
) -> None:
    image = chest(plain_dicom, tmp_path / "chest.dcm")
    made = written(tmp_path / "report.dcm", image)
    content = (tmp_path / "report.dcm").read_bytes()
    source = pydicom.dcmread(tmp_path / "chest.dcm")
    for value in ("Doe", "MRN-4711", "20200131", "1.2.3.4.", source.SOPInstanceUID):
        assert value.encode() not in content
    assert made.PatientIdentityRemoved == "YES"
    assert "CurrentRequestedProcedureEvidenceSequence" not in made
    other = image.with_voxels(image.voxels[::-1].copy(), Kind.parse("xray"))
    derived = pydicom.dcmread(dicom.write(other, tmp_path / "other.dcm", provenance=PROVENANCE))
    assert derived.StudyInstanceUID == made.StudyInstanceUID
    assert derived.PatientID == made.PatientID
    assert derived.SeriesInstanceUID != made.SeriesInstanceUID


def test_a_kept_patient_has_study_and_evidence(
    plain_dicom: SimpleNamespace, tmp_path: Path
) -> None:
    now = chest(plain_dicom, tmp_path / "chest.dcm")
    before = chest(
        plain_dicom, tmp_path / "prior.dcm", StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1"
    )
    volume = np.arange(60, dtype=np.int16).reshape(5, 4, 3)
    slices = plain_dicom.slices(volume, np.diag([1.0, 1, 2, 1]))
    for one in slices:
        one.SeriesInstanceUID = "1.2.3.4.8"
    ct = dicom.read(plain_dicom.save(slices, tmp_path / "ct"))
    png = MedicalImage(GREY, now.geometry, Kind.parse("xray"))
    made = written(tmp_path / "report.dcm", now, ct, before, png, keep_patient=True)
    assert (made.StudyInstanceUID, made.PatientID) == ("1.2.3.4.1", "MRN-4711")
    assert made.PatientIdentityRemoved == "NO"
    assert made.SeriesInstanceUID not in ("1.2.3.4.2", "1.2.3.4.8")
    (current,) = made.CurrentRequestedProcedureEvidenceSequence
    assert current.StudyInstanceUID == "1.2.3.4.1"
    radiograph, volume_item = current.ReferencedSeriesSequence
    instance = pydicom.dcmread(tmp_path / "chest.dcm").SOPInstanceUID
    (reference,) = radiograph.ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == instance
    assert reference.ReferencedSOPClassUID == DXImageStorage
    assert volume_item.SeriesInstanceUID == "1.2.3.4.8"
    assert len(volume_item.ReferencedSOPSequence) == 3
    (other,) = made.PertinentOtherEvidenceSequence
    assert other.StudyInstanceUID == "1.2.9"
    (findings,) = [
        item.ContentSequence[0]
        for item in made.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Findings"
    ]
    linked = [item.ReferencedSOPSequence[0] for item in findings.ContentSequence]
    assert [one.ReferencedSOPInstanceUID for one in linked] == [
        instance,
        pydicom.dcmread(tmp_path / "prior.dcm").SOPInstanceUID,
    ]


def test_one_patient_must_be_there_to_be_kept(plain_dicom: SimpleNamespace, tmp_path: Path) -> None:
    one = chest(plain_dicom, tmp_path / "a.dcm")
    two = chest(plain_dicom, tmp_path / "b.dcm", PatientID="4712")
    with pytest.raises(UsageError, match="several patients"):
        written(tmp_path / "report.dcm", one, two, keep_patient=True)
    with pytest.raises(UsageError, match="no patient"):
        written(tmp_path / "report.dcm", keep_patient=True)


def test_the_same_report_is_the_same_bytes_and_is_not_overwritten(
    plain_dicom: SimpleNamespace, tmp_path: Path
) -> None:
    image = chest(plain_dicom, tmp_path / "chest.dcm")
    first, again = written(tmp_path / "1.dcm", image), written(tmp_path / "2.dcm", image)
    assert (tmp_path / "1.dcm").read_bytes() == (tmp_path / "2.dcm").read_bytes()
    changed = write_text_sr(ReportText("Normal."), tmp_path / "3.dcm", [image], PROVENANCE)
    assert pydicom.dcmread(changed).SeriesInstanceUID != first.SeriesInstanceUID
    assert again.SeriesInstanceUID == first.SeriesInstanceUID
    with pytest.raises(OutputError, match="already exists"):
        written(tmp_path / "1.dcm", image)
    write_text_sr(ReportText("Normal."), tmp_path / "1.dcm", [], PROVENANCE, overwrite=True)
    assert sections(pydicom.dcmread(tmp_path / "1.dcm")) == {"Findings": "Normal."}
