"""The mean of models is the mean of their weights, and says what went into it."""

from pathlib import Path

import pytest
import torch

from benchmarks.average import average, main
from medgen.checkpoint import Card
from medgen.errors import UsageError
from medgen.tasks.translator.model import load_translator, save_translator
from medgen.tasks.translator.translator import Translator, TranslatorConfig

SMALL = TranslatorConfig(widths=(8, 8))


def saved(folder: Path, value: float, config: TranslatorConfig = SMALL) -> Card:
    state = {
        name: torch.full_like(weight, value)
        for name, weight in Translator(config).state_dict().items()
    }
    return save_translator(folder, Card(folder.name, "1", "translate"), config, state)


def test_the_mean_of_three_is_their_mean_with_the_last_ones_card(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c")]
    cards = [saved(folder, value) for folder, value in zip(folders, (0.0, 1.0, 5.0), strict=True)]
    assert main([*map(str, folders), "-o", str(tmp_path / "mean")]) == 0
    made = load_translator(tmp_path / "mean", torch.device("cpu"))
    assert all((weight == 2).all() for weight in made.translator.state_dict().values())
    assert made.card.name == "c"
    assert made.card.extra["mean_of"] == [card.digest for card in cards]


def test_models_of_different_shapes_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "a", 0)
    saved(tmp_path / "b", 0, TranslatorConfig(widths=(8, 16)))
    with pytest.raises(UsageError, match="different shapes"):
        average([tmp_path / "a", tmp_path / "b"], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
