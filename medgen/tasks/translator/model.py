"""The translator as a model folder: saved with its card, loaded only if every byte is right."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medgen.checkpoint import Card, model_folder, save_model, verify
from medgen.config import from_mapping, to_mapping
from medgen.errors import ModelError
from medgen.tasks.model_parts import filled
from medgen.tasks.translator.translator import Translator, TranslatorConfig

PART = "translator"


@dataclass(frozen=True)
class LoadedModel:
    """A translator and the card that says what it is.

    Attributes:
        translator: In eval mode, on the device that was asked for.
        card: Training range, lineage, calibration.
    """

    translator: Translator
    card: Card


def load_translator(model: str | Path, device: torch.device) -> LoadedModel:
    """Load what `--model` names, after checking its hashes.

    Raises:
        ModelError: If it is missing, damaged, or not a translator.
        SafetyError: If the folder holds a pickle.
    """
    folder = model_folder(model)
    card = verify(folder)
    if PART not in card.parts:
        raise ModelError(f"{folder}: is a {card.task} model without a translator; name another")
    config = from_mapping(TranslatorConfig, card.parts[PART].config, origin=str(folder))
    translator = filled(Translator(config), folder, card, PART)
    return LoadedModel(translator.eval().to(device), card)


def save_translator(
    folder: Path, card: Card, config: TranslatorConfig, state: dict[str, Tensor]
) -> Card:
    """Write a translator's weights, fp16, with its card; replaces an older one there."""
    configs = {PART: to_mapping(config)}
    return save_model(folder, card, {PART: state}, configs=configs, overwrite=True)
