"""Evaluate: compare synthetic images with real ones, by a named protocol."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Num

from medgen import __version__
from medgen.data.body import body_of, rule_of
from medgen.errors import InputError
from medgen.io.files import read
from medgen.io.image import MedicalImage
from medgen.metrics.bootstrap import RESAMPLES, SEED, Interval, interval
from medgen.metrics.fidelity import NORMALISATION, fidelity
from medgen.metrics.synthrad import synthrad
from medgen.metrics.tissue import tissue_scores
from medgen.modality import Kind, Modality
from medgen.tasks.document import to_document
from medgen.tasks.match import Match, match
from medgen.tasks.preflight import can_be_ct, looks_like_ct

Protocol = Literal["synthrad", "mri"]
MODALITIES: dict[str, Modality] = {"synthrad": Modality.CT, "mri": Modality.MRI}
DEFINITIONS = {
    "synthrad": "SynthRAD2025: MAE in HU; PSNR of HU clipped to [-1024, 3071]; MS-SSIM with "
    "luminance at every scale; air below -200 HU, bone above 250 HU of the truth",
    "mri": NORMALISATION,
}
SAME_PLACE_MM = 0.01  # what is left of an affine that went through a DICOM or NIfTI header


@dataclass(frozen=True)
class Row:
    """One study's figures, by name of the metric; NaN where a metric does not apply."""

    study: str
    patient: str
    voxels: int
    scores: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """What was compared, how, and the figures.

    Attributes:
        medgen: Version that computed them.
        protocol: Its name.
        definition: What the protocol computes, in words; figures mean nothing without it.
        mask: Where it was computed, in words.
        config: How the intervals were made: `resamples` of the patients, and the `seed` of these.
        rows: One a study.
        summary: By metric, over patients: the mean of a patient's studies counts once.
        without_prediction: Studies that nothing was predicted for; they are in no figure.
    """

    medgen: str
    protocol: Protocol
    definition: str
    mask: str
    config: dict[str, int]
    rows: tuple[Row, ...]
    summary: dict[str, Interval]
    without_prediction: tuple[str, ...] = ()

    def to_json(self) -> str:
        """One JSON document; a figure that is not finite is null."""
        return to_document(self)


def evaluate(
    pred: Path,
    truth: Path,
    *,
    mask: Path | None = None,
    protocol: Protocol = "synthrad",
    watch: Callable[[Sequence[Match]], Iterable[Match]] = iter,
) -> Evaluation:
    """Compare predictions with truths, inside a mask.

    Args:
        pred: A file, a DICOM folder, a folder of them, or a manifest.
        truth: The same; matched by name or study (`medgen.tasks.match`).
        mask: The same; voxels above 0 count. None: the body that the truth shows.
        protocol: `synthrad` for CT, `mri` for MRI.
        watch: Passes the pairs through and may show how far it is.

    Raises:
        InputError: If grids differ, an image is of another kind, or something has no partner.
    """
    matches = match(pred, truth, mask, MODALITIES[protocol])
    compared = [_compare(pair, protocol) for pair in watch(matches.pairs)]
    rows = tuple(row for row, _ in compared)
    return Evaluation(
        medgen=__version__,
        protocol=protocol,
        definition=DEFINITIONS[protocol],
        mask="; ".join(sorted({rule for _, rule in compared})),
        config={"resamples": RESAMPLES, "seed": SEED},
        rows=rows,
        summary=summarise(rows),
        without_prediction=tuple(matches.without_prediction),
    )


def summarise(rows: Sequence[Row]) -> dict[str, Interval]:
    """Mean, SD and bootstrap interval of each metric, over patients."""
    patients = sorted({row.patient for row in rows})
    found = {}
    for metric in rows[0].scores:
        own = [[row.scores[metric] for row in rows if row.patient == name] for name in patients]
        means = [_known_mean(values) for values in own]
        found[metric] = interval(means)
    return found


def _known_mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def score(
    pred: Num[np.ndarray, "i j k"],
    truth: Num[np.ndarray, "i j k"],
    mask: Bool[np.ndarray, "i j k"],
    protocol: Protocol = "synthrad",
) -> dict[str, float]:
    """Every metric of a protocol, by name, for arrays on one grid."""
    if protocol == "mri":
        return asdict(fidelity(pred, truth, mask))
    return asdict(synthrad(pred, truth, mask)) | asdict(tissue_scores(pred, truth, mask))


def _compare(pair: Match, protocol: Protocol) -> tuple[Row, str]:
    """The figures of one pair, and where they were computed."""
    truth, pred = (_image(path, protocol) for path in (pair.truth, pair.pred))
    _require_units(truth, pair.truth, protocol)
    _require_same_grid(pred, truth, pair.pred, pair.truth)
    if pair.mask:
        given = read(pair.mask, is_mask=True)
        _require_same_grid(given, truth, pair.mask, pair.truth)
        inside, rule = given.voxels > 0, "given: voxels above 0"
        if not inside.any():
            raise InputError(f"{pair.mask}: is empty: no voxel is above 0; give another --mask")
    else:
        inside, rule = body_of(truth), rule_of(truth)
    try:
        scores = score(pred.voxels, truth.voxels, inside, protocol)
    except InputError as error:
        raise InputError(f"{pair.pred} or {pair.truth}: {error}") from None
    return Row(pair.name, pair.patient, int(inside.sum()), scores), rule


def _image(path: Path, protocol: Protocol) -> MedicalImage:
    """Read a volume of the protocol's modality; a file that does not say its kind is trusted."""
    image, wanted = read(path), MODALITIES[protocol]
    if image.voxels.ndim != 3:
        raise InputError(f"{path}: is no volume; --protocol {protocol} compares volumes")
    if image.kind and image.kind.modality is not wanted:
        other = next((name for name, its in MODALITIES.items() if its is image.kind.modality), "")
        remedy = f"use --protocol {other}" if other else "no protocol is for it"
        raise InputError(f"{path}: is {image.kind}, not {wanted}; {remedy}")
    return replace(image, kind=image.kind or Kind(wanted))


def _require_units(truth: MedicalImage, path: Path, protocol: Protocol) -> None:
    """A truth that is trusted to be of the protocol's modality has the numbers of it."""
    if protocol == "synthrad" and not can_be_ct(truth):
        raise InputError(f"{path}: holds no HU (no air, no fat), so is no CT; use --protocol mri")
    if protocol == "mri" and looks_like_ct(truth):
        raise InputError(f"{path}: holds HU (air near -1000), so is a CT; use --protocol synthrad")


def _require_same_grid(image: MedicalImage, truth: MedicalImage, path: Path, of: Path) -> None:
    remedy = f"resample it onto the grid of {of}, or translate again from that grid"
    if image.voxels.shape != truth.voxels.shape:
        shapes = f"{image.voxels.shape} voxels, and {of} {truth.voxels.shape}"
        raise InputError(f"{path}: has {shapes}; {remedy}")
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(truth.voxels.shape) - 1)
    difference = image.geometry.affine - truth.geometry.affine
    apart = np.linalg.norm(corners @ difference[:3, :3].T + difference[:3, 3], axis=1).max()
    if apart > SAME_PLACE_MM:
        raise InputError(f"{path}: lies up to {apart:.3g} mm away from {of}; {remedy}")
