"""Who is measured: medgen's two engines, and the baselines that stand beside them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from benchmarks.cases import Loaded
from benchmarks.unet import load_unet
from medgen.modality import Kind
from medgen.tasks.translator.model import PART, LoadedModel, load_translator
from medgen.tasks.translator.translation import EngineConfig, translate_images
from medgen.tasks.translator.translator import CT

CONSTANT_HU = 40.0  # muscle: the constant of the data README
REGRESS, DIFFUSE, CONSTANT, UNET = "regress", "diffuse", "constant", "unet"
MEAN, COPY = "mean of the truth", "copy of the source"


@dataclass(frozen=True)
class Prediction:
    """What a method answers, and the spread of its samples where it has any."""

    voxels: Float[np.ndarray, "i j k"]
    spread: Float[np.ndarray, "i j k"] | None = None


@dataclass(frozen=True)
class Method:
    """Something that translates.

    Attributes:
        name: Its row in the tables.
        key: What decides its answers; another key, another measurement.
        predict: A case's voxels and its target in, the answer out.
    """

    name: str
    key: str
    predict: Callable[[Loaded, Kind], Prediction]


def engine(model: LoadedModel, config: EngineConfig) -> Method:
    """One of medgen's engines."""

    def predict(case: Loaded, target: Kind) -> Prediction:
        made = translate_images(model.translator, [case.source], target, config)
        return Prediction(made.mean, made.spread)

    weights = model.card.parts[PART].sha256[:16]  # calibrating sigma changes no answer
    if config.engine == REGRESS:
        return Method(REGRESS, weights, predict)
    return Method(DIFFUSE, f"{weights}-{config.steps}x{config.samples}-{config.seed}", predict)


def constant() -> Method:
    """The same number everywhere."""
    return Method(
        CONSTANT,
        f"{CONSTANT_HU:g}",
        lambda case, _: Prediction(np.full(case.truth.shape, CONSTANT_HU, np.float32)),
    )


def mean_of_truth() -> Method:
    """The best constant there is for an MRI: it knows the truth's mean."""
    return Method(
        MEAN,
        "1",
        lambda case, _: Prediction(
            np.full(case.truth.shape, case.truth[case.mask].mean(), np.float32)
        ),
    )


def copy_of_source() -> Method:
    """The source itself, called the target."""
    return Method(COPY, "1", lambda case, _: Prediction(case.source.voxels.astype(np.float32)))


def plain_unet(folder: Path, device: torch.device) -> Method:
    """The baseline network."""
    loaded = load_unet(folder, device)

    def predict(case: Loaded, target: Kind) -> Prediction:
        return Prediction(loaded.predict(case.source))

    return Method(UNET, loaded.card.parts["unet"].sha256[:16], predict)


@dataclass(frozen=True)
class Contestants:
    """All methods of a run.

    Attributes:
        model: medgen's.
        regress: One evaluation.
        diffuse: Several steps, the mean of several samples.
    """

    model: LoadedModel
    regress: Method
    diffuse: Method

    def for_target(self, target: Kind) -> list[Method]:
        """The methods that compete for a target, baselines last."""
        if target == CT:
            return [self.regress, self.diffuse, constant()]
        return [self.regress, mean_of_truth(), copy_of_source()]


def contestants(model: str, device: torch.device, diffuse: EngineConfig) -> Contestants:
    """Load the models."""
    loaded = load_translator(model, device)
    return Contestants(
        loaded,
        engine(loaded, EngineConfig("regress")),
        engine(loaded, diffuse),
    )
