"""The parts of one model, to be written beside a new one into another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from medgen.checkpoint import load_part, verify

Parts = dict[str, Mapping[str, Tensor]]
Configs = dict[str, Mapping[str, Any]]


def parts_of(folder: Path | None) -> tuple[Parts, Configs, dict[str, Any]]:
    """Weights and configs of a model's parts by name, and what its card remembers.

    Args:
        folder: Of the model; None for no model, which has nothing.

    Raises:
        ModelError: If a file is missing or damaged.
    """
    if folder is None:
        return {}, {}, {}
    card = verify(folder)
    parts: Parts = {name: load_part(folder, card, name) for name in card.parts}
    return parts, {name: part.config for name, part in card.parts.items()}, dict(card.extra)
