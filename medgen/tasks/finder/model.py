"""The finder as a part of a model folder, and how surely its answers may be told."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from medgen.checkpoint import Card, model_folder, save_model, verify
from medgen.config import from_mapping, to_mapping
from medgen.data.standard import StandardConfig
from medgen.encoders.finder import Finder, FinderConfig
from medgen.errors import ModelError
from medgen.modality import Kind
from medgen.tasks.finder.usual import Usual
from medgen.tasks.model_parts import filled, parts_of, without_dependents

FINDER, USUAL = "finder", "usual"


@dataclass(frozen=True)
class Worth:
    """How answers become probabilities, and from where on they are told.

    Attributes:
        scale: Of each claim: what its log-odds are multiplied by.
        shift: What is then added.
        threshold: For each share of `Calibration.invented`, the probability from which a claim is
            told.
        median: Of each claim: what half of the studies with it are given at least, probability; 0
            where there were none. Not known of older finders, which deny all that they do not tell.
    """

    scale: tuple[float, ...] = ()
    shift: tuple[float, ...] = ()
    threshold: tuple[float, ...] = ()
    median: tuple[float, ...] = ()


@dataclass(frozen=True)
class Calibration(Worth):
    """What all answers are worth, and what they tell beside: see `Worth`.

    Attributes:
        apart: What they are worth where just these kinds of images are shown: `ct+xray`.
        invented: Shares of the studies without any finding that are told one, rising.
        sized: Claims whose size somebody measured.
        graded: Claims that are told to be small, moderate or large.
        placed: Claims that are told to lie in a region.
        foreign: By kind, the share of an image that may be unlike those of training.
    """

    apart: dict[str, Worth] = field(default_factory=dict)
    invented: tuple[float, ...] = ()
    sized: tuple[str, ...] = ()
    graded: tuple[str, ...] = ()
    placed: tuple[str, ...] = ()
    foreign: dict[str, float] = field(default_factory=dict)

    def of(self, kinds: Collection[Kind]) -> "Calibration":
        """What answers are worth that rest on images of these kinds."""
        own = self.apart.get(shown_together(kinds))
        if own is None:
            return self
        return replace(self, **vars(own))


def shown_together(kinds: Collection[Kind]) -> str:
    """Kinds of images as one word, whatever their order and number."""
    return "+".join(sorted({str(kind.plain) for kind in kinds}))


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
    usual: dict[str, Usual]  # by kind
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
    if not {FINDER, USUAL} <= card.parts.keys():
        raise ModelError(f"{folder}: cannot report; train a finder: --round report:finder")
    part = from_mapping(FinderPart, card.parts[FINDER].config, origin=str(folder))
    finder = filled(Finder(part.finder), folder, card, FINDER)
    usual = filled(new_usual(part.finder), folder, card, USUAL).to(device)
    known = {
        kind: one
        for kind, one in zip(part.finder.kinds, usual.children(), strict=True)
        if isinstance(one, Usual)
    }
    return LoadedFinder(finder.eval().to(device), known, part.standard, part.calibration, card)


def new_usual(config: FinderConfig) -> nn.ModuleDict:
    """What images look like, of which nothing is known yet."""
    return nn.ModuleDict({kind: Usual(Kind.parse(kind).modality) for kind in config.kinds})


def save_finder(
    folder: Path,
    card: Card,
    part: FinderPart,
    state: Mapping[str, Tensor],
    usual: nn.ModuleDict,
    *,
    beside: Path | None,
) -> Card:
    """Write a finder with all that another model has; an older finder and its writer go."""
    parts, configs, extra = parts_of(beside)
    without_dependents(parts, configs, FINDER)
    parts[FINDER], configs[FINDER] = state, to_mapping(part)
    parts[USUAL] = usual.state_dict()
    card = replace(card, extra=extra | card.extra)
    return save_model(folder, card, parts, configs=configs, overwrite=True)
