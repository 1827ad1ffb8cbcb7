"""Report files: the images of a study read, its report written with its marks, or nothing."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from medgen import __version__
from medgen.data.resample import Grid, resample
from medgen.data.standard import body_voxels, standard_grid
from medgen.data.study import Study
from medgen.errors import UsageError
from medgen.io import files
from medgen.io.atomic import all_or_nothing, atomic_file, check_writable
from medgen.io.dicom.identity import header_of
from medgen.io.dicom.write_report import ReportText, write_text_sr
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.io.names import check_apart
from medgen.io.provenance import Provenance
from medgen.io.sidecar import sidecar_path, was_made_by, write_sidecar
from medgen.modality import Kind, Modality
from medgen.tasks.given import Given
from medgen.tasks.report import Report, load_reporter, report
from medgen.tasks.reporting.config import ReportConfig
from medgen.tasks.reporting.images import with_kinds
from medgen.tasks.reporting.marks import marked
from medgen.tasks.reporting.prior import read_prior
from medgen.tasks.reporting.prose import Sentence
from medgen.tasks.reporting.table import USUAL

ENDINGS = (".txt", ".json", ".dcm")
BRIGHTEST = 255  # grey level where a claim looks most


@dataclass(frozen=True)
class Written:
    """What one report left on disk.

    Attributes:
        output: The report; None if it was only asked for.
        sidecar: The JSON beside it; None for a report that is JSON itself.
        text: The same as text.
        document: The same as JSON takes it.
        evidence: Maps of where its findings rest.
        sources: Hash of each image.
        device: Where it was made.
        seconds: From reading to writing.
        warnings: What the user should know.
    """

    output: Path | None
    sidecar: Path | None
    text: str
    document: dict[str, Any]
    evidence: tuple[Path, ...]
    sources: tuple[str, ...]
    device: str
    seconds: float
    warnings: tuple[str, ...]


def given_of(study: Study, kinds: Sequence[str]) -> list[Given]:
    """The images of a manifest's study that the model reads.

    Raises:
        UsageError: If there are none.
    """
    found = [Given(p, kind) for kind, p in study.images.items() if str(kind.plain) in kinds]
    if not found:
        words = ", ".join(kinds)
        raise UsageError(f"{study.id}: has no {words}, which is all that this model reports")
    return found


def write_report(
    given: Sequence[Given],
    config: ReportConfig,
    *,
    out: Path | None = None,
    evidence: Path | None = None,
    name: str = "report",
) -> Written:
    """Report one study, and write what was asked for.

    Args:
        given: Its images.
        config: How.
        out: A `.txt`, `.json` or `.dcm`; None writes no report.
        evidence: Folder for the maps of where each finding rests.
        name: What the maps' names begin with.

    Raises:
        MedgenError: In one line: what is wrong. No report is left half written.
    """
    started = time.perf_counter()
    if config.keep_patient and (out is None or out.suffix.lower() != ".dcm"):
        raise UsageError("--keep-patient is for a report in DICOM: -o report.dcm")
    if out is not None:
        if out.suffix.lower() not in ENDINGS:
            raise UsageError(f"-o {out}: a report is written as {', '.join(ENDINGS)}")
        prior = [Given.parse(config.prior).path] if config.prior else []
        results = [out]
        if out.suffix.lower() != ".json":
            results.append(sidecar_path(out.with_suffix("")))
        check_apart(results, [*(one.path for one in given), *prior])
        check_writable(out, overwrite=config.overwrite)
        for path in results[1:]:
            check_writable(path, overwrite=_may_replace(path, out, config))
    images = with_kinds([files.read(one.path) for one in given], [one.kind for one in given])
    before = read_prior(config)
    _check_patients([*images, *before.images], config)
    made = report(images, config, before.facts)
    document = document_of(made, images, config)
    if before.warning:  # without the path, which may name the patient
        document["Warnings"].append("the prior cannot be read; nothing is compared")
    maps = _write_maps(made, images, config, evidence, name) if evidence else ()
    text = marked(made.text, document["Warnings"], provenance_of(config))
    if out is not None:
        _write(made, images, document, text, config, out)
    has_sidecar = out is not None and out.suffix.lower() != ".json"
    return Written(
        out,
        sidecar_path(out.with_suffix("")) if out and has_sidecar else None,
        text,
        document,
        tuple(maps),
        tuple(image.source.sha256 if image.source else "" for image in images),
        str(load_reporter(config).device),
        round(time.perf_counter() - started, 3),
        tuple(filter(None, (before.warning, *made.warnings))),
    )


def _may_replace(sidecar: Path, out: Path, config: ReportConfig) -> bool:
    """Of a report that is not there, the sidecar was left by a run that did not come to its end."""
    return config.overwrite or (not out.exists() and was_made_by("report", sidecar))


def provenance_of(config: ReportConfig) -> Provenance:
    """What the writers say about how a report was made."""
    card = load_reporter(config).finder.card
    is_drawn = config.engine == "latent" or config.decoding == "nucleus"
    steps = config.steps if config.engine == "latent" else None
    return Provenance("report", card.name, card.digest, config.seed if is_drawn else None, steps)


def document_of(
    made: Report, images: Sequence[MedicalImage], config: ReportConfig
) -> dict[str, Any]:
    """The report as JSON: the table, sentences that name their claims, and the marks."""
    provenance = provenance_of(config)
    prose = made.prose
    told = [row for row in made.rows if row.finding.presence == "present"]
    return {
        "Synthetic": True,
        "IntendedUse": "Research only; not for clinical use",
        "Description": provenance.sentence_of("report"),
        "GeneratedBy": {"Name": "medgen", "Version": __version__},
        "Model": {"Name": provenance.model, "SHA256": provenance.model_sha256},
        "Seed": provenance.seed,
        "Engine": config.engine,
        "OperatingPoint": config.operating_point or USUAL,
        "Threshold": round(made.threshold, 3),
        "Images": [
            {"Kind": str(image.kind), "SHA256": image.source.sha256 if image.source else ""}
            for image in images
        ],
        **({"Indication": config.indication} if config.indication else {}),
        "NothingFound": not told,
        "Table": [{"claim": row.claim, **row.as_json()} for row in made.rows],
        "Findings": _sentences(prose.findings),
        "Impression": _sentences(prose.impression),
        "Dropped" if config.engine == "tokens" else "Contradicted": list(prose.dropped),
        "PlainSentences": prose.added,
        "Candidates": [
            {"Text": one.prose.text, "Agreement": one.agreement} for one in made.candidates
        ],
        "Warnings": [line.partition(": ")[2] for line in made.warnings],
    }


def _sentences(said: Sequence[Sentence]) -> list[dict[str, Any]]:
    return [{"text": one.text, "claims": list(one.claims)} for one in said]


def _write(
    made: Report,
    images: Sequence[MedicalImage],
    document: dict[str, Any],
    text: str,
    config: ReportConfig,
    out: Path,
) -> None:
    if out.suffix.lower() == ".json":
        _write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", out, config)
        return
    provenance = provenance_of(config)
    beside = sidecar_path(out.with_suffix(""))
    replaces = _may_replace(beside, out, config)
    with all_or_nothing(beside) as undo:
        undo.append(write_sidecar(out.with_suffix(""), provenance, document, overwrite=replaces))
        if out.suffix.lower() == ".txt":
            _write_text(text, out, config)
            return
        said = ReportText(
            " ".join(one.text for one in made.prose.findings),
            " ".join(one.text for one in made.prose.impression),
            config.indication,
        )
        write_text_sr(
            said,
            out,
            images,
            provenance,
            overwrite=config.overwrite,
            keep_patient=config.keep_patient,
        )


def _write_text(text: str, out: Path, config: ReportConfig) -> None:
    with atomic_file(out, overwrite=config.overwrite) as draft:
        draft.write_text(text, encoding="utf-8")


def _write_maps(
    made: Report,
    images: Sequence[MedicalImage],
    config: ReportConfig,
    folder: Path,
    name: str,
) -> list[Path]:
    """Where each finding that is told rests, on the pixels or voxels of its image."""
    written = []
    for row in made.told:
        claim = row.claim.replace(":", "-")
        for at, (image, cells) in enumerate(zip(images, made.maps[row.claim], strict=True)):
            number = f"-{at + 1}" if len(images) > 1 else ""
            suffix = ".png" if image.voxels.ndim == 2 else ".nii.gz"
            path = folder / f"{name}{number}_{claim}{suffix}"
            shown = image.with_voxels(
                _on_image(cells, image, config), image.kind or Kind(Modality.XRAY)
            )
            files.write(shown, path, provenance=provenance_of(config), overwrite=config.overwrite)
            written.append(path)
    return written


def _on_image(cells: np.ndarray, image: MedicalImage, config: ReportConfig) -> np.ndarray:
    """A map of the finder's cells on the image's own grid; one corner is kept dark."""
    whole = _flat(cells, image) if cells.ndim == 2 else _solid(cells, image, config)
    shares = (whole / max(float(whole.max()), 1e-9)).clip(0, 1)
    shares[(0,) * shares.ndim] = 0.0  # a map of one grey would be no image
    return np.asarray(np.round(BRIGHTEST * shares), np.float32)


def _flat(cells: np.ndarray, image: MedicalImage) -> np.ndarray:
    """Of a radiograph, which lies in the middle of the finder's square."""
    shape = image.voxels.shape
    side = max(shape)
    square = F.interpolate(
        torch.from_numpy(cells)[None, None], (side, side), mode="bicubic", align_corners=False
    )[0, 0]
    top, left = ((side - length) // 2 for length in shape)
    cut: np.ndarray = square[top : top + shape[0], left : left + shape[1]].numpy().copy()
    return cut


def _solid(cells: np.ndarray, image: MedicalImage, config: ReportConfig) -> np.ndarray:
    """Of a volume, whose standard view is upright and has voxels of its own."""
    modality = image.kind.modality if image.kind else Modality.CT
    grid = standard_grid(
        image, load_reporter(config).finder.standard, body_voxels(image.voxels, modality)
    )
    stride = grid.shape[0] // cells.shape[0]
    affine = grid.geometry.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.full(3, (stride - 1) / 2)
    affine[:3, :3] *= stride
    i, j, k = image.voxels.shape
    there = resample(cells, Geometry(affine), Grid((i, j, k), image.geometry), fill=0.0)
    return np.asarray(there)


def _check_patients(images: Sequence[MedicalImage], config: ReportConfig) -> None:
    """Refuse images of several patients, as far as their files say whose they are."""
    known = {
        (header.patient.get("PatientID", ""), header.patient.get("IssuerOfPatientID", ""))
        for header in map(header_of, images)
        if header is not None and header.patient.get("PatientID")
    }
    if len(known) > 1 and not config.allow_mixed:
        raise UsageError(
            f"the images are of {len(known)} patients; report each alone, or add --allow-mixed"
        )
