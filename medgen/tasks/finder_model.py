"""The finder as a part of a model folder, and how surely its answers may be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from medgen.checkpoint import Card, model_folder, save_model, verify
from medgen.config import from_mapping, to_mapping
from medgen.data.standard import StandardConfig
from medgen.encoders.finder import Finder, FinderConfig
from medgen.errors import ModelError
from medgen.tasks.model_parts import filled, parts_of, without_dependents

FINDER = "finder"


@dataclass(frozen=True)
class Usual:
    """What the images of one modality look like to a finder.

    Attributes:
        mean: Of each channel of the coarsest grid, over images.
        deviation: The same.
        limit: Root mean square of the deviations, in these, beyond which an image is none.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    limit: float


@dataclass(frozen=True)
class Calibration:
    """How answers become probabilities, and from where on they are told.

    Attributes:
        scale: Of each claim: what its log-odds are multiplied by.
        shift: What is then added.
        invented: Shares of the studies without any finding that are told one, rising.
        threshold: For each of these shares, the probability from which a claim is told.
        sized: Claims whose size somebody measured.
        graded: Claims that are told to be small, moderate or large.
        placed: Claims that are told to lie in a region.
        usual: By modality, what images look like to the finder.
    """

    scale: tuple[float, ...] = ()
    shift: tuple[float, ...] = ()
    invented: tuple[float, ...] = ()
    threshold: tuple[float, ...] = ()
    sized: tuple[str, ...] = ()
    graded: tuple[str, ...] = ()
    placed: tuple[str, ...] = ()
    usual: dict[str, Usual] = field(default_factory=dict)


@dataclass(frozen=True)
class FinderPart:
    """What a model's card says of a finder."""

    finder: FinderConfig
    standard: StandardConfig
    calibration: Calibration


@dataclass(frozen=True)
class LoadedFinder:
    """A finder, in eval mode on the device that was asked for, and what belongs to it."""

    finder: Finder
    standard: StandardConfig
    calibration: Calibration
    card: Card


def load_finder(model: str | Path, device: torch.device) -> LoadedFinder:
    """Load the finder of a model, after checking its hashes.

    Raises:
        ModelError: If it is missing or damaged.
        SafetyError: If the folder holds a pickle.
    """
    folder = model_folder(model)
    card = verify(folder)
    if FINDER not in card.parts:
        raise ModelError(f"{folder}: cannot report; train a finder: --round report:finder")
    part = from_mapping(FinderPart, card.parts[FINDER].config, origin=str(folder))
    finder = filled(Finder(part.finder), folder, card, FINDER)
    return LoadedFinder(finder.eval().to(device), part.standard, part.calibration, card)


def save_finder(
    folder: Path,
    card: Card,
    part: FinderPart,
    state: Mapping[str, Tensor],
    *,
    beside: Path | None,
) -> Card:
    """Write a finder with all that another model has; an older finder is replaced."""
    parts, configs, extra = parts_of(beside)
    without_dependents(parts, configs, FINDER)
    parts[FINDER], configs[FINDER] = state, to_mapping(part)
    card = replace(card, extra=extra | card.extra)
    return save_model(folder, card, parts, configs=configs, overwrite=True)
