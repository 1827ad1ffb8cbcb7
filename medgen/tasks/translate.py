"""Translate: a patient's images in, the same patient as another modality saw it out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from medgen.errors import MedgenError, UsageError
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.metrics.calibration import Calibration
from medgen.modality import Kind, Modality
from medgen.phantom.projection import View
from medgen.tasks.denormals import flushed_denormals
from medgen.tasks.device import choose_device
from medgen.tasks.flow_translation import WHOLE, translate_by_flows
from medgen.tasks.generating.generator import load_flows
from medgen.tasks.preflight import check_range, check_same_place, with_kind
from medgen.tasks.radiograph import XRAY, radiograph_of
from medgen.tasks.refining.volume import refined_volume, refiner_and_nothing
from medgen.tasks.translator.model import LoadedModel, load_translator
from medgen.tasks.translator.translation import Engine, EngineConfig, Translated, translate_images
from medgen.tasks.translator.translator import CT, index_of


@dataclass(frozen=True)
class TranslateConfig:
    """What `medgen translate` is asked to do."""

    to: str = "ct"  # ct, mri:t1, mri:t2, mri:flair, mri:pd or xray
    source: str | None = None  # what the input is, where its file does not say
    companions: tuple[str, ...] = ()  # more images of the same patient
    view: View | None = None  # of a radiograph; pa where nothing is said
    engine: Engine = "regress"
    steps: int = 8  # network evaluations a sample; diffuse and flow only
    samples: int = 1  # mean and sigma over so many; diffuse only
    refine: bool = False  # make the finest details anew; volumes only
    refiner: str | None = None  # the model that does it; `model` if not given
    refine_steps: int = 4  # of its sampler
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
        if self.target.view:
            raise UsageError(f"--to {self.to}: write --to xray --view {self.target.view}")
        if self.target != XRAY:
            index_of(self.target)
            if self.view:
                raise UsageError(f"--view {self.view}: belongs to --to xray; leave it out")
        elif self.samples > 1:
            raise UsageError("--samples has no sigma for a radiograph; leave it out")
        if self.refine and (self.target == XRAY or self.samples > 1):
            raise UsageError("--refine is for one volume; leave --to xray and --samples out")
        if self.refine_steps < 1:
            raise UsageError(f"refine_steps is {self.refine_steps}; choose 1 or more")
        if self.stated and self.stated.modality not in (Modality.CT, Modality.MRI):
            raise UsageError(f"--from {self.source}: only ct and mri can be translated")
        if self.stated == self.target:
            raise UsageError(f"--from {self.source} --to {self.to}: there is nothing to translate")
        if self.steps < 1 or self.samples < 1:
            raise UsageError("--steps and --samples must be at least 1")
        if self.engine == "flow":
            self._check_flow()
        if self.samples > 1 and self.engine != "diffuse":
            raise UsageError("--samples needs --engine diffuse: a regression has one answer")
        if self.samples > 1 and self.steps == 1:
            raise UsageError("--samples needs --steps 2 or more: one step is the regression")

    def _check_flow(self) -> None:
        if self.companions:
            raise UsageError("--with: --engine flow hears one image; leave the others out")
        if self.stated and self.stated.modality is self.target.modality:
            raise UsageError(
                f"--engine flow: goes from CT to MRI and back; {self.source} to {self.to} is what "
                "--engine regress is for"
            )

    @property
    def target(self) -> Kind:
        """What to make."""
        return Kind.parse(self.to)

    @property
    def is_random(self) -> bool:
        """Whether the seed decides anything: samples, a radiograph's noise, details made anew."""
        return self.engine != "regress" or self.target == XRAY or self.refine

    @property
    def stated(self) -> Kind | None:
        """What the input is said to be."""
        return Kind.parse(self.source) if self.source else None


@dataclass(frozen=True)
class Maker:
    """What made a translation.

    Attributes:
        name: Of the model; `projection` where a radiograph needed none.
        sha256: Hash of the model's card; empty without a model.
        device: Where it ran.
    """

    name: str
    sha256: str = ""
    device: str = "cpu"


@dataclass(frozen=True)
class Translation:
    """A translation in memory.

    Attributes:
        image: The result, on the first source's grid; a radiograph on its detector's.
        sigma: One standard deviation, same grid and unit; None without samples.
        sources: The inputs with their kinds.
        maker: What made it.
        warnings: What `force` let pass, and what the user should know.
        unpaired: Modalities that what made it was never trained to hear.
    """

    image: MedicalImage
    sigma: MedicalImage | None
    sources: tuple[MedicalImage, ...]
    maker: Maker
    warnings: tuple[str, ...]
    unpaired: tuple[str, ...] = ()


def translate(sources: Sequence[MedicalImage], config: TranslateConfig) -> Translation:
    """Translate images in memory: the Python way in.

    Args:
        sources: Volumes of one patient in one world; the first one's grid is the result's.
        config: What to make, with which engine and model.

    Raises:
        InputError: If an image is not what it is said to be, or not like the training data.
        ModelError: If the model is missing or damaged.
        UsageError: If the config asks for what the model or this machine cannot do.

    Example:
        Read, translate to CT with the bundled model, and write::

            from pathlib import Path
            from medgen.io import files
            from medgen.tasks.translate import TranslateConfig, provenance_of, translate

            config = TranslateConfig(to="ct")
            made = translate([files.read(Path("t1.nii.gz"))], config)
            files.write(made.image, Path("ct.nii.gz"), provenance=provenance_of(made, config))
    """
    if config.target == XRAY:
        return _radiograph(sources, config)
    if config.refine:
        return _refined(sources, config)
    if config.engine == "flow":
        return _by_flows(sources, config)
    model = _model(config.model, config.device)
    images, warnings = _checked(sources, config, model)
    engine = EngineConfig(config.engine, config.steps, config.samples, config.seed)
    with flushed_denormals():
        made = translate_images(model.translator, images, config.target, engine)
    if not np.isfinite(made.mean).all():
        raise MedgenError("the model answered with NaN; nothing was written: report this input")
    image = images[0].with_voxels(made.mean, config.target)
    sigma = _sigma(images[0], made, config.target, model)
    device = str(next(model.translator.parameters()).device)
    maker = Maker(model.card.name, model.card.digest, device)
    return Translation(image, sigma, tuple(images), maker, tuple(warnings))


def _refined(sources: Sequence[MedicalImage], config: TranslateConfig) -> Translation:
    """A translation whose finest details are made anew."""
    modality = config.target.modality
    refiner, nothing = refiner_and_nothing(config.refiner or config.model, modality, config.device)
    made = translate(sources, replace(config, refine=False))
    voxels = refined_volume(
        made.image, config.target, refiner, nothing, steps=config.refine_steps, seed=config.seed
    )
    return replace(made, image=made.image.with_voxels(voxels, config.target))


def _radiograph(sources: Sequence[MedicalImage], config: TranslateConfig) -> Translation:
    """Project the CT among the sources; without one, make it from them first."""
    images = tuple(with_kind(one, None if at else config.stated) for at, one in enumerate(sources))
    ct = next((image for image in images if image.kind == CT), None)
    if ct is None:
        made = translate(images, replace(config, to="ct", view=None))
        ct = made.image
    elif len(images) > 1:
        raise UsageError("--to xray: the CT alone is projected; leave the other images out")
    else:
        made = Translation(ct, None, (ct,), Maker("projection"), ())
    return replace(made, image=radiograph_of(ct, config.view or "pa", seed=config.seed))


def _by_flows(sources: Sequence[MedicalImage], config: TranslateConfig) -> Translation:
    """One of the sources, as the flow of another modality hears it."""
    pair = (Modality.CT, Modality.MRI)
    loaded = load_flows(config.model, pair, config.device)
    images = [with_kind(one, None if at else config.stated) for at, one in enumerate(sources)]
    fitting = [
        image
        for image in images
        if image.kind and image.kind.modality in set(pair) - {config.target.modality}
    ]
    if not fitting:
        name = sources[0].source.path if sources and sources[0].source else "image"
        raise UsageError(
            f"{name}: --engine flow goes from CT to MRI and back; use --engine regress"
        )
    image = fitting[0]
    name = image.source.path if image.source else "image"
    warnings = check_range(image, loaded.card.training_range, force=config.force)
    with flushed_denormals():
        made = translate_by_flows(
            image, config.target, loaded, steps=config.steps, seed=config.seed
        )
    if made.seen < WHOLE:
        warnings.append(f"{name}: the flow sees {made.seen:.0%} of the body; the rest is left air")
    maker = Maker(loaded.card.name, loaded.card.digest, str(loaded.device))
    result = image.with_voxels(made.voxels, config.target)
    heard = image.kind.modality if image.kind else Modality.MRI
    unpaired = () if made.is_paired else (str(heard),)
    return Translation(result, None, (image,), maker, tuple(warnings), unpaired)


def provenance_of(made: Translation, config: TranslateConfig) -> Provenance:
    """What the writers say about how a translation was made."""
    is_sampled = config.engine != "regress" and made.maker.sha256 != ""
    return Provenance(
        task="translate",
        model=made.maker.name,
        model_sha256=made.maker.sha256,
        seed=config.seed if config.is_random else None,
        steps=config.steps if is_sampled else None,
    )


def calibration_of(model: LoadedModel, target: Kind) -> Calibration:
    """What makes the spread of samples a true sigma; as it is where nobody has measured it."""
    found = model.card.extra.get("calibration", {}).get(str(target))
    return Calibration(**found) if found else Calibration(scale=1.0, floor=0.0)


@lru_cache(maxsize=1)
def _model(name: str, device: str) -> LoadedModel:
    """One model stays in memory: a batch loads it once."""
    return load_translator(name, choose_device(device))


def _checked(
    sources: Sequence[MedicalImage], config: TranslateConfig, model: LoadedModel
) -> tuple[list[MedicalImage], list[str]]:
    """The sources with their kinds, and the warnings that `force` let pass."""
    images: list[MedicalImage] = []
    warnings: list[str] = []
    for at, source in enumerate(sources):
        image = with_kind(source, config.stated if at == 0 else None)
        if image.kind == config.target:
            name = image.source.path if image.source else "image"
            raise UsageError(f"{name}: is {config.to} already; choose another --to")
        warnings += check_range(image, model.card.training_range, force=config.force)
        if at > 0:
            check_same_place(images[0], image)
        images.append(image)
    slots = model.translator.config.mri_slots
    cts = sum(image.kind == CT for image in images)
    if not images or cts > 1 or len(images) - cts > slots:
        raise UsageError(f"the model takes one CT and up to {slots} MRIs; leave the others out")
    return images, warnings


def _sigma(
    first: MedicalImage, made: Translated, target: Kind, model: LoadedModel
) -> MedicalImage | None:
    """The calibrated spread of the samples on the first source's grid."""
    if made.spread is None:
        return None
    sigma = calibration_of(model, target).sigma(made.spread).astype(np.float32)
    return first.with_voxels(sigma, target)
