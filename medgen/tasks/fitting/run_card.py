"""What a run remembers of its settings, and the card of the model that it makes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from medgen.checkpoint import Card, model_folder, read_card
from medgen.config import from_mapping, read_mapping, to_mapping

MODELS = ("init", "finder", "translator")  # settings that name one
ELSEWHERE = ("fit", "card", "cache")  # compared by `fit`, or without effect on the weights


def facts_of(config: Any) -> dict[str, object]:
    """The settings that decide the weights, as JSON; a resumed run must have the same.

    Args:
        config: A dataclass; of the models that it names, the folders' names and digests remain, of
            a manifest its name.

    Raises:
        ModelError: If there is no such model.
    """
    facts = {key: value for key, value in to_mapping(config).items() if key not in ELSEWHERE}
    for key in MODELS:
        if facts.get(key) and isinstance(facts[key], str):
            folder = model_folder(str(facts[key]))
            facts[key] = f"{folder.name} {read_card(folder).digest[:16]}"
    if facts.get("calibrate"):
        facts["calibrate"] = Path(str(facts["calibrate"])).name
    return dict(json.loads(json.dumps(facts)))


def descended(card: Card, init: Path | None, *parts: str, goes_on: bool = True) -> Card:
    """The card of a run that went on from a model: whose work is in it is not forgotten.

    Args:
        card: Of the run, with its own steps.
        init: The model's folder; None for a run that began with nothing.
        parts: What was trained: `extra` tells the steps of each, those before included as far as
            the model tells them, and the card those of the one that has most.
        goes_on: Whether the model's own parts of these names were trained further, if it has them.
    """
    before = read_card(init) if init else None
    steps = {f"steps-{part}": card.steps for part in parts}
    for part in parts:
        if before and goes_on and part in before.parts:
            steps[f"steps-{part}"] += int(before.extra.get(f"steps-{part}", 0))
    card = replace(card, steps=max(steps.values()), extra=card.extra | steps)
    if before is None:
        return card
    data = tuple(dict.fromkeys((*before.data, *card.data)))
    return replace(card, data=data, lineage=(*before.lineage, before.digest))


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
