"""The card of a run that goes on from a model tells of that model."""

from pathlib import Path

import torch

from medgen.checkpoint import Card, DataUse, save_model
from medgen.tasks.run_card import descended

OLD, NEW = DataUse("old", "MIT", "somebody"), DataUse("new", "MIT")


def model(folder: Path) -> Card:
    card = Card("m", "1", "generate", steps=70, data=(OLD,), lineage=("first",))
    return save_model(folder, card, {"flow-xray": {"x": torch.zeros(1)}})


def test_a_part_that_goes_on_counts_its_steps(tmp_path: Path) -> None:
    before = model(tmp_path / "m")
    own = Card("m", "2", "generate", steps=30, data=(NEW, OLD))
    after = descended(own, tmp_path / "m", "flow-xray")
    assert after.steps == 100
    assert after.data == (OLD, NEW)
    assert after.lineage == ("first", before.digest)


def test_a_new_part_counts_its_own(tmp_path: Path) -> None:
    model(tmp_path / "m")
    own = Card("m", "2", "generate", steps=30, data=(NEW,))
    assert descended(own, tmp_path / "m", "flow-text").steps == 30
    assert descended(own, None, "flow-text") == own
