"""Codecs of images as parts of a model folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medgen.checkpoint import Card, model_folder, verify
from medgen.config import from_mapping
from medgen.errors import ModelError
from medgen.latents.kl import KLCodec, KLCodecConfig
from medgen.modality import Modality
from medgen.tasks.codec_images import FrameConfig
from medgen.tasks.model_parts import filled, save_beside


@dataclass(frozen=True)
class CodecPart:
    """What a model's card says of a codec."""

    modality: Modality
    codec: KLCodecConfig
    frame: FrameConfig


@dataclass(frozen=True)
class LoadedCodec:
    """A codec, in eval mode on the device that was asked for, and the grid of its images."""

    codec: KLCodec
    frame: FrameConfig


def codec_part(modality: Modality) -> str:
    """Name of a codec in a model folder."""
    return f"codec-{modality}"


def load_codec(model: str | Path, modality: Modality, device: torch.device) -> LoadedCodec:
    """Load the codec of a modality, after checking the model's hashes.

    Raises:
        ModelError: If it is missing or damaged.
        SafetyError: If the folder holds a pickle.
    """
    folder = model_folder(model)
    card = verify(folder)
    name = codec_part(modality)
    if name not in card.parts:
        raise ModelError(
            f"{folder}: has no codec of {modality}; train one: --round codec:{modality}"
        )
    part = from_mapping(CodecPart, card.parts[name].config, origin=str(folder))
    codec = filled(KLCodec(part.codec), folder, card, name)
    return LoadedCodec(codec.eval().to(device), part.frame)


def save_codec(
    folder: Path, card: Card, part: CodecPart, state: Mapping[str, Tensor], *, beside: Path | None
) -> Card:
    """Write a codec with all that another model has; an older codec of its kind is replaced."""
    return save_beside(folder, card, codec_part(part.modality), part, state, beside=beside)
