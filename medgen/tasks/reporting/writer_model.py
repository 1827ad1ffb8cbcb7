"""The writer of reports as a part of a model folder; its words are those of the tokenizer there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medgen.checkpoint import Card, model_folder, verify
from medgen.config import from_mapping
from medgen.encoders.tokenizer import Tokenizer
from medgen.errors import ModelError
from medgen.latents.writer import Writer, WriterConfig
from medgen.tasks.aligning.model import TOKENIZER
from medgen.tasks.model_parts import filled, save_beside

WRITER = "writer"


@dataclass(frozen=True)
class LoadedWriter:
    """A writer, in eval mode on the device that was asked for, and its tokenizer."""

    writer: Writer
    tokenizer: Tokenizer


def load_writer(model: str | Path, device: torch.device) -> LoadedWriter:
    """Load the writer of a model, after checking its hashes.

    Raises:
        ModelError: If it is missing or damaged.
        SafetyError: If the folder holds a pickle.
    """
    folder = model_folder(model)
    card = verify(folder)
    if WRITER not in card.parts:
        raise ModelError(f"{folder}: has no writer of reports; train one: --round report:words")
    config = from_mapping(WriterConfig, card.parts[WRITER].config, origin=str(folder))
    writer = filled(Writer(config), folder, card, WRITER)
    tokenizer = Tokenizer.from_json(str(card.extra.get(TOKENIZER)))
    return LoadedWriter(writer.eval().to(device), tokenizer)


def save_writer(
    folder: Path, card: Card, config: WriterConfig, state: Mapping[str, Tensor], *, beside: Path
) -> Card:
    """Write a writer with all that another model has: its finder and its tokenizer among it."""
    return save_beside(folder, card, WRITER, config, state, beside=beside)
