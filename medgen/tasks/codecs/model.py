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
from medgen.tasks.codecs.images import FrameConfig
from medgen.tasks.model_parts import filled, save_beside


@dataclass(frozen=True)
class CodecPart:
    """What a model's card says of a codec.

    Attributes:
        modality: Whose images it takes.
        codec: Its shape.
        frame: The grid of the images that it was trained on.
        name: Tells it from others of its modality; the usual one has none.
    """

    modality: Modality
    codec: KLCodecConfig
    frame: FrameConfig
    name: str = ""


@dataclass(frozen=True)
class LoadedCodec:
    """A codec, in eval mode on the device that was asked for, and the grid of its images."""

    codec: KLCodec
    frame: FrameConfig


def codec_part(modality: Modality, own: str = "") -> str:
    """Name of a codec in a model folder; `own` tells it from others of its modality.

    Example:
        >>> codec_part(Modality.CT), codec_part(Modality.CT, "whole")
        ('codec-ct', 'codec-ct-whole')
    """
    return f"codec-{modality}-{own}" if own else f"codec-{modality}"


def load_codec(
    model: str | Path, modality: Modality, device: torch.device, own: str = ""
) -> LoadedCodec:
    """Load a codec of a modality, after checking the model's hashes.

    Args:
        model: Its name or folder.
        modality: Whose images it takes.
        device: Where it is to compute.
        own: Its own name, as `codec_part` takes it.

    Raises:
        ModelError: If it is missing or damaged.
        SafetyError: If the folder holds a pickle.
    """
    folder = model_folder(model)
    card = verify(folder)
    name = codec_part(modality, own)
    if name not in card.parts:
        what, option = (f" named {own}", f" --set name={own}") if own else ("", "")
        raise ModelError(
            f"{folder}: has no codec of {modality}{what}; train one: "
            f"--round codec:{modality}{option}"
        )
    part = from_mapping(CodecPart, card.parts[name].config, origin=str(folder))
    codec = filled(KLCodec(part.codec), folder, card, name)
    return LoadedCodec(codec.eval().to(device), part.frame)


def save_codec(
    folder: Path, card: Card, part: CodecPart, state: Mapping[str, Tensor], *, beside: Path | None
) -> Card:
    """Write a codec with all that another model has; an older one of its name is replaced."""
    name = codec_part(part.modality, part.name)
    return save_beside(folder, card, name, part, state, beside=beside)
