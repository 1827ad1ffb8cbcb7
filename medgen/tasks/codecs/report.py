"""The report codec as a part of a model folder, with the tokenizer that its text goes through."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from medgen.checkpoint import Card, model_folder, verify
from medgen.config import from_mapping
from medgen.encoders.tokenizer import Tokenizer
from medgen.errors import ModelError
from medgen.latents.report import ReportCodec, ReportCodecConfig
from medgen.tasks.aligning.model import TOKENIZER
from medgen.tasks.model_parts import filled, save_beside

REPORT_PART = "codec-text"


@dataclass(frozen=True)
class LoadedReportCodec:
    """A report codec, in eval mode on the device that was asked for, and its tokenizer."""

    codec: ReportCodec
    tokenizer: Tokenizer


def load_report_codec(model: str | Path, device: torch.device) -> LoadedReportCodec:
    """Load the report codec of a model, after checking its hashes.

    Raises:
        ModelError: If it is missing or damaged.
        SafetyError: If the folder holds a pickle.
    """
    folder = model_folder(model)
    card = verify(folder)
    if REPORT_PART not in card.parts:
        raise ModelError(f"{folder}: has no codec of text; train one: --round codec:text")
    config = from_mapping(ReportCodecConfig, card.parts[REPORT_PART].config, origin=str(folder))
    codec = filled(ReportCodec(config), folder, card, REPORT_PART)
    tokenizer = Tokenizer.from_json(str(card.extra.get(TOKENIZER)))
    return LoadedReportCodec(codec.eval().to(device), tokenizer)


def save_report_codec(
    folder: Path, card: Card, codec: ReportCodec, tokenizer: Tokenizer, *, beside: Path | None
) -> Card:
    """Write a report codec with all that another model has."""
    card = replace(card, extra=card.extra | {TOKENIZER: tokenizer.to_json()})
    return save_beside(folder, card, REPORT_PART, codec.config, codec.state_dict(), beside=beside)
