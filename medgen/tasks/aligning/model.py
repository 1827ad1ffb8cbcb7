"""Encoders of all modalities as a model folder, with the tokenizer that their text goes through."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medgen.align.aligner import Aligner
from medgen.checkpoint import Card, load_part, model_folder, save_model, verify
from medgen.config import from_mapping, to_mapping
from medgen.data.standard import StandardConfig, channels_of
from medgen.encoders.cells import CellEncoder
from medgen.encoders.claims import ClaimEncoder
from medgen.encoders.image import ImageEncoder, ImageEncoderConfig
from medgen.encoders.text import TextEncoder, TextEncoderConfig
from medgen.encoders.tokenizer import Tokenizer
from medgen.errors import ModelError
from medgen.modality import Modality

TEMPERATURE = "temperature"
TOKENIZER, VIEWS = "tokenizer", "standard"  # in the card, beside the encoders' own settings


@dataclass(frozen=True)
class EncodersConfig:
    """The size of every encoder.

    Attributes:
        text: Of reports.
        xray: Of radiographs.
        ct: Of CT, a channel for each window.
        mri: Of MRI of any contrast: values and ranks.
    """

    text: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    xray: ImageEncoderConfig = field(
        default_factory=lambda: ImageEncoderConfig(
            spatial_dims=2, in_channels=channels_of(Modality.XRAY), widths=(16, 32, 64, 128)
        )
    )
    ct: ImageEncoderConfig = field(
        default_factory=lambda: ImageEncoderConfig(in_channels=channels_of(Modality.CT))
    )
    mri: ImageEncoderConfig = field(
        default_factory=lambda: ImageEncoderConfig(in_channels=channels_of(Modality.MRI))
    )


@dataclass(frozen=True)
class LoadedAligner:
    """Encoders, and what they need to read files.

    Attributes:
        aligner: Those that have learned, in eval mode, on the device that was asked for.
        tokenizer: Of the text encoder.
        standard: Grids that images are brought to.
        card: What the model is.
    """

    aligner: Aligner
    tokenizer: Tokenizer
    standard: StandardConfig
    card: Card

    def encoder_of(self, image: Modality) -> ImageEncoder:
        """The encoder of a modality of images.

        Raises:
            ModelError: If the model has none.
        """
        known = self.aligner.encoders
        if image not in known:
            raise ModelError(
                f"{self.card.name}: has no encoder of {image}, only of {', '.join(known)}; "
                "name another model"
            )
        return self.aligner.image_encoder(image)


def new_encoder(config: EncodersConfig, name: Modality) -> TextEncoder | ImageEncoder:
    """An encoder that has learned nothing; the global random state decides its weights."""
    if name is Modality.TEXT:
        return TextEncoder(config.text)
    own: ImageEncoderConfig = getattr(config, str(name))
    return ClaimEncoder(own) if own.finder else CellEncoder(own)


def new_aligner(config: EncodersConfig) -> Aligner:
    """All encoders, of which none has learned anything."""
    return Aligner({name: new_encoder(config, name) for name in Modality})


def save_aligner(
    folder: Path,
    card: Card,
    config: EncodersConfig,
    state: Mapping[str, Tensor],
    *,
    tokenizer: Tokenizer,
    standard: StandardConfig,
    learned: Collection[Modality] = tuple(Modality),
) -> Card:
    """Write the encoders that have learned, a part each, fp16; replaces an older model there."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        prefix, _, rest = name.removeprefix("encoders.").partition(".")
        if prefix not in set(Modality) - set(learned):
            parts.setdefault(prefix, {})[rest] = tensor
    configs: dict[str, dict[str, Any]] = {
        str(name): to_mapping(getattr(config, str(name))) for name in Modality if name in learned
    }
    extra = card.extra | {TOKENIZER: tokenizer.to_json(), VIEWS: to_mapping(standard)}
    card = replace(card, extra=extra)
    return save_model(folder, card, parts, configs=configs, overwrite=True)


def load_aligner(model: str | Path, device: torch.device) -> LoadedAligner:
    """Load what `--model` names, after checking its hashes.

    Raises:
        ModelError: If it is missing, damaged, or has no encoders.
        SafetyError: If the folder holds a pickle.
    """
    folder = model_folder(model)
    card = verify(folder)
    if not {Modality.TEXT, TEMPERATURE} <= card.parts.keys():
        raise ModelError(f"{folder}: is a {card.task} model without encoders; name another")
    known = [name for name in Modality if name in card.parts]
    configs = {str(name): card.parts[name].config for name in known}
    config = from_mapping(EncodersConfig, configs, origin=str(folder))
    aligner = Aligner({name: new_encoder(config, name) for name in known})
    try:
        for name in known:
            aligner.encoders[name].load_state_dict(load_part(folder, card, name))
        aligner.temperature.load_state_dict(load_part(folder, card, TEMPERATURE))
        tokenizer = Tokenizer.from_json(str(card.extra[TOKENIZER]))
        standard = from_mapping(StandardConfig, card.extra[VIEWS], origin=str(folder))
    except (RuntimeError, KeyError, TypeError):
        raise ModelError(
            f"{folder}: the weights do not fit the card's config; made by another version?"
        ) from None
    return LoadedAligner(aligner.eval().to(device), tokenizer, standard, card)
