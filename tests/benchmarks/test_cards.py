"""A model is there if it has what is asked for."""

from pathlib import Path

from benchmarks.cards import card_at


def test_a_model_without_a_part_is_as_none(tmp_path: Path) -> None:
    card = card_at("flows", "finder", "writer")
    assert card is not None
    assert card.name == "flows"
    assert card_at("flows") == card
    assert card_at("flows", "finder", "no such part") is None
    assert card_at(str(tmp_path)) is None
    assert card_at("nobody") is None
