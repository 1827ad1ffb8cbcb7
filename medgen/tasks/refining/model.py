"""Refiners as parts of a model folder."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from medgen.checkpoint import Card, model_folder, verify
from medgen.config import from_mapping
from medgen.errors import ModelError
from medgen.instruct.refiner import Refiner, RefinerConfig
from medgen.modality import Modality
from medgen.tasks.model_parts import filled, save_beside


def refiner_part(modality: Modality) -> str:
    """Name of a refiner in a model folder."""
    return f"refine-{modality}"


@lru_cache(maxsize=3)
def load_refiner(model: str | Path, modality: Modality, device: torch.device) -> Refiner:
    """The refiner of a modality, in eval mode, after checking the model's hashes.

    One of each modality stays in memory, so that a batch loads them once.

    Raises:
        ModelError: If the model has none, or it is damaged.
    """
    folder = model_folder(model)
    card = verify(folder)
    name = refiner_part(modality)
    if name not in card.parts:
        raise ModelError(f"{folder}: cannot refine {modality}; train it: --round refine:{modality}")
    config = from_mapping(RefinerConfig, card.parts[name].config, origin=str(folder))
    return filled(Refiner(config), folder, card, name).eval().to(device)


def save_refiner(
    folder: Path,
    card: Card,
    modality: Modality,
    config: RefinerConfig,
    state: Mapping[str, Tensor],
    *,
    beside: Path,
) -> Card:
    """Write a refiner with all that another model has; an older one of its modality is replaced."""
    return save_beside(folder, card, refiner_part(modality), config, state, beside=beside)
