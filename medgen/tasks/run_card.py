"""What a run remembers of its settings, and the card of the model that it makes."""

import json
from pathlib import Path
from typing import Any

from medgen.checkpoint import Card
from medgen.config import from_mapping, read_mapping, to_mapping

ELSEWHERE = ("fit", "card", "cache")  # compared by `fit`, or without effect on the weights


def facts_of(config: Any) -> dict[str, object]:
    """The settings that decide the weights, as JSON; a resumed run must have the same.

    Args:
        config: A dataclass; of the model that `init` names, the folder's name remains.
    """
    facts = {key: value for key, value in to_mapping(config).items() if key not in ELSEWHERE}
    if facts.get("init"):
        facts["init"] = Path(str(facts["init"])).name
    return dict(json.loads(json.dumps(facts)))


def card_of(path: str | None, name: str, task: str) -> Card:
    """The card as far as a person writes it; the defaults say that nobody has.

    Args:
        path: Of the TOML file; None if there is none.
        name: Of the model, if the file does not say.
        task: The same.

    Raises:
        InputError: If the file cannot be read.
        UsageError: If it says what a card does not have.
    """
    values = read_mapping(Path(path)) if path else {}
    basis = {"name": name, "version": "1", "task": task}
    return from_mapping(Card, basis | values, origin=path or "card")
