"""The model that figures are about, if it is there and has what they need."""

from medgen.checkpoint import Card, model_folder, read_card
from medgen.errors import ModelError


def card_at(model: str, *parts: str) -> Card | None:
    """The card of a model that has these parts; None if there is none: nothing is measured.

    Args:
        model: By name or folder.
        parts: That it must have.
    """
    try:
        card = read_card(model_folder(model))
    except ModelError:
        return None
    return card if card.parts.keys() >= set(parts) else None
