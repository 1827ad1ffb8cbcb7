"""A translator comes back from its folder as it went in, or not at all."""

import json
from pathlib import Path

import pytest
import torch

from medgen.checkpoint import Card
from medgen.errors import ModelError
from medgen.tasks.translator.model import PART, load_translator, save_translator
from medgen.tasks.translator.translator import Translator, TranslatorConfig

CPU = torch.device("cpu")
CONFIG = TranslatorConfig(widths=(8, 8))


def test_weights_come_back_to_half_precision(tmp_path: Path) -> None:
    state = Translator(CONFIG).state_dict()
    card = save_translator(tmp_path / "m", Card("m", "1", "translate"), CONFIG, state)
    loaded = load_translator(tmp_path / "m", CPU)
    assert loaded.card == card
    assert loaded.translator.config == CONFIG
    assert not loaded.translator.training
    for name, tensor in loaded.translator.state_dict().items():
        assert torch.equal(tensor, state[name].half().float())


def test_the_card_names_the_part_and_its_size(tiny_model: Path) -> None:
    card = json.loads((tiny_model / "model.json").read_text())
    state = Translator(CONFIG).state_dict()
    assert card["parts"][PART]["parameters"] == sum(t.numel() for t in state.values())
    assert card["parts"][PART]["config"]["widths"] == [8, 8]


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    state = Translator(TranslatorConfig(widths=(8, 16))).state_dict()
    save_translator(tmp_path / "m", Card("m", "1", "translate"), CONFIG, state)
    with pytest.raises(ModelError, match="do not fit the card's config"):
        load_translator(tmp_path / "m", CPU)


def test_a_model_without_a_translator_is_refused(tmp_path: Path) -> None:
    from medgen.checkpoint import save_model

    save_model(tmp_path / "m", Card("m", "1", "report"), {"text": {"a": torch.ones(1)}})
    with pytest.raises(ModelError, match="is a report model without a translator"):
        load_translator(tmp_path / "m", CPU)
