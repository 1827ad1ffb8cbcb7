"""Translate: a patient's images in, the same patient as another modality saw it out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch

from medgen.errors import MedgenError, UsageError
from medgen.io import files
from medgen.io.atomic import check_writable
from medgen.io.image import FileFormat, MedicalImage
from medgen.io.names import format_of, output_path
from medgen.io.preview import write_preview
from medgen.io.provenance import Provenance
from medgen.io.sidecar import sidecar_path, write_sidecar
from medgen.metrics.calibration import Calibration
from medgen.modality import FACTS, Kind, Modality
from medgen.tasks.batch import Item
from medgen.tasks.device import choose_device
from medgen.tasks.model import LoadedModel, load_translator
from medgen.tasks.preflight import check_range, check_same_place, with_kind
from medgen.tasks.translation import Engine, EngineConfig, Translated, translate_images
from medgen.tasks.translator import TARGETS, index_of


@dataclass(frozen=True)
class TranslateConfig:
    """What `medgen translate` is asked to do."""

    to: str = "ct"  # ct, mri:t1, mri:t2, mri:flair or mri:pd
    source: str | None = None  # what the input is, where its file does not say
    companions: tuple[str, ...] = ()  # more images of the same patient
    engine: Engine = "regress"
    steps: int = 8  # network evaluations a sample; diffuse only
    samples: int = 1  # mean and sigma over so many; diffuse only
    seed: int = 0
    model: str = "base"
    device: str = "auto"
    series: str | None = None  # of a DICOM folder
    frame: int | None = None  # of a 4-D file
    force: bool = False  # go on outside the training range
    overwrite: bool = False
    keep_patient: bool = False  # DICOM only: keep the patient's identity

    def __post_init__(self) -> None:
        """Raises UsageError for settings that contradict each other."""
        index_of(self.target)
        if self.steps < 1 or self.samples < 1:
            raise UsageError("--steps and --samples must be at least 1")
        if self.samples > 1 and self.engine != "diffuse":
            raise UsageError("--samples needs --engine diffuse: a regression has one answer")

    @property
    def target(self) -> Kind:
        """What to make."""
        return Kind.parse(self.to)


@dataclass(frozen=True)
class Written:
    """What one translation left on disk.

    Attributes:
        output: The translated image.
        sigma: Its uncertainty, one standard deviation, same grid and unit; None without samples.
        sidecar: The JSON beside it.
        preview: The picture, if one was asked for.
        source_sha256: Hash of the first input.
        seconds: From reading to writing.
        warnings: What the user should know.
    """

    output: Path
    sigma: Path | None
    sidecar: Path
    preview: Path | None
    source_sha256: str
    seconds: float
    warnings: tuple[str, ...] = ()


def translate(
    sources: Sequence[MedicalImage], config: TranslateConfig
) -> tuple[MedicalImage, MedicalImage | None]:
    """Translate images in memory: the Python way in.

    Args:
        sources: Volumes of one patient in one world; the first one's grid is the result's.
        config: What to make, with which engine and model.

    Returns:
        The image, and its sigma where `config.samples` is above 1 (same unit, one standard
        deviation), on the voxels of the first source.

    Raises:
        InputError: If an image is not what it is said to be, or not like the training data.
        ModelError: If the model is missing or damaged.
    """
    model = _model(config.model, config.device)
    images, _ = _checked(sources, config, model)
    return _images_of(images[0], _compute(model, images, config), config.target, model)


def translate_item(
    item: Item, config: TranslateConfig, *, out: Path | None = None, preview: Path | None = None
) -> Written:
    """Translate one input and write the result, its sidecar and, if asked, a preview.

    Args:
        item: A file or DICOM folder, or one study of a manifest.
        config: What to make.
        out: What `-o` says; see `io.names.output_path`.
        preview: PNG to draw.

    Raises:
        MedgenError: In one line: what is wrong, with which file. Nothing is left behind.
    """
    started = time.perf_counter()
    output = output_of(item, config, out=out)
    sigma = None
    if config.samples > 1:
        sigma = output_of(item, config, out=out, suffix="_sigma")
    wanted = [output, sigma, sidecar_path(output), preview]
    for path in (path for path in wanted if path is not None):
        check_writable(path, overwrite=config.overwrite)
    read = _read(item, config)
    model = _model(config.model, config.device)
    images, warnings = _checked(read, config, model)
    result, spread = _images_of(images[0], _compute(model, images, config), config.target, model)
    provenance = Provenance(
        task="translate",
        model=model.card.name,
        model_sha256=model.card.digest,
        seed=config.seed if config.engine == "diffuse" else None,
        steps=config.steps if config.engine == "diffuse" else None,
    )
    write = partial(
        files.write,
        provenance=provenance,
        overwrite=config.overwrite,
        keep_patient=config.keep_patient,
    )
    write(result, output)
    if sigma is not None and spread is not None:
        write(spread, sigma)
    details = _details(images, config, warnings, has_sigma=sigma is not None)
    sidecar = write_sidecar(output, provenance, details, overwrite=config.overwrite)
    if preview is not None:
        shown = [images[0], result] + ([spread] if spread is not None else [])
        write_preview(shown, preview, provenance=provenance, overwrite=config.overwrite)
    digest = images[0].source.sha256 if images[0].source else ""
    seconds = time.perf_counter() - started
    return Written(output, sigma, sidecar, preview, digest, seconds, tuple(warnings))


def output_of(
    item: Item, config: TranslateConfig, *, out: Path | None = None, suffix: str = ""
) -> Path:
    """Where the result of an item goes, decided before anything is read."""
    source = item.path
    if item.study is not None:
        source = item.path.parent / f"{item.name}.nii.gz"
    elif "/" in item.name and out is not None:
        out = out / Path(item.name).parent
    return output_path(source, config.target, out=out, file_format=_format(item), suffix=suffix)


def _format(item: Item) -> FileFormat:
    """The format of a result: the source's own."""
    if item.study is not None:
        return "nifti"
    if item.path.is_dir():
        return "dicom"
    try:
        return "dicom" if files.sniff(item.path) == "dicom" else "nifti"
    except MedgenError:
        return format_of(item.path)


@lru_cache(maxsize=1)
def _model(name: str, device: str) -> LoadedModel:
    """One model stays in memory: a batch loads it once."""
    return load_translator(name, choose_device(device))


def _read(item: Item, config: TranslateConfig) -> list[MedicalImage]:
    """The images of an item, the one whose grid counts first."""
    if item.study is not None:
        found = [
            (kind, path)
            for kind, path in item.study.images.items()
            if FACTS[kind.modality].axes == 3 and _is_input(kind, config.target)
        ]
        if not found:
            raise UsageError(f"{item.name}: has nothing to make {config.to} from")
        return [replace(files.read(path), kind=kind) for kind, path in found]
    first = files.read(item.path, series=config.series, frame=config.frame)
    others = [files.read(Path(path)) for path in config.companions]
    return [first, *others]


def _is_input(kind: Kind, target: Kind) -> bool:
    """MRIs make CT; MRIs, or a CT where there is none, make MRIs."""
    return kind != target and kind in (*TARGETS, Kind(Modality.MRI))


def _checked(
    sources: Sequence[MedicalImage], config: TranslateConfig, model: LoadedModel
) -> tuple[list[MedicalImage], list[str]]:
    """The sources with their kinds, and the warnings that `--force` let pass."""
    stated = Kind.parse(config.source) if config.source else None
    images: list[MedicalImage] = []
    warnings: list[str] = []
    for at, source in enumerate(sources):
        image = with_kind(source, stated if at == 0 else None)
        if image.kind == config.target:
            name = image.source.path if image.source else "image"
            raise UsageError(f"{name}: is {config.to} already; choose another --to")
        warnings += check_range(image, model.card.training_range, force=config.force)
        if at > 0:
            check_same_place(images[0], image)
        images.append(image)
    slots = model.translator.config.mri_slots
    if sum(image.kind != TARGETS[0] for image in images) > slots:
        raise UsageError(f"the model takes up to {slots} MRIs together; leave some out")
    if sum(image.kind == TARGETS[0] for image in images) > 1:
        raise UsageError("the model takes one CT; leave the others out")
    return images, warnings


def _compute(
    model: LoadedModel, images: Sequence[MedicalImage], config: TranslateConfig
) -> Translated:
    torch.set_flush_denormal(True)
    engine = EngineConfig(config.engine, config.steps, config.samples, config.seed)
    return translate_images(model.translator, images, config.target, engine)


def _images_of(
    first: MedicalImage, made: Translated, target: Kind, model: LoadedModel
) -> tuple[MedicalImage, MedicalImage | None]:
    """Put the result, and its calibrated sigma, onto the first source's grid."""
    if not np.isfinite(made.mean).all():
        raise MedgenError("the model answered with NaN; nothing was written: report this input")
    image = first.with_voxels(made.mean, target)
    if made.spread is None:
        return image, None
    calibration = calibration_of(model, target)
    sigma = calibration.sigma(made.spread).astype(np.float32)
    return image, first.with_voxels(sigma, target)


def calibration_of(model: LoadedModel, target: Kind) -> Calibration:
    """What makes the spread of samples a true sigma; as it is where nobody has measured it."""
    found = model.card.extra.get("calibration", {}).get(str(target))
    return Calibration(**found) if found else Calibration(scale=1.0, floor=0.0)


def _details(
    images: Sequence[MedicalImage],
    config: TranslateConfig,
    warnings: Sequence[str],
    *,
    has_sigma: bool,
) -> dict[str, object]:
    details: dict[str, object] = {
        "Kind": config.to,
        "Unit": FACTS[config.target.modality].unit,
        "Sources": [
            {"Kind": str(image.kind), "SHA256": image.source.sha256 if image.source else ""}
            for image in images
        ],
        "Engine": config.engine,
        "Samples": config.samples,
        "Warnings": [line.partition(": ")[2] for line in warnings],
    }
    if has_sigma:
        details["Sigma"] = "one standard deviation; the sum of ensemble spread and a fitted floor"
    return details
