"""The card of a run that goes on from a model tells of that model."""

from dataclasses import replace
from pathlib import Path

import torch

from medgen.checkpoint import Card, DataUse, save_model
from medgen.tasks.fitting.run_card import descended

PARTS = ("flow-xray", "flow-ct", "codec-ct")
OLD, NEW = DataUse("old", "MIT", "somebody"), DataUse("new", "MIT")


def model(folder: Path) -> Card:
    told = {"steps-flow-xray": 70, "steps-flow-ct": 5, "steps-flow-mri": 9}
    card = Card("m", "1", "generate", steps=5, data=(OLD,), lineage=("first",), extra=told)
    return save_model(folder, card, {name: {name: torch.zeros(1)} for name in PARTS})


def test_a_part_that_goes_on_counts_its_steps(tmp_path: Path) -> None:
    before = model(tmp_path / "m")
    own = Card("m", "2", "generate", steps=30, data=(NEW, OLD))
    after = descended(own, tmp_path / "m", "flow-xray")
    assert (after.steps, after.extra) == (100, {"steps-flow-xray": 100})
    assert after.data == (OLD, NEW)
    assert after.lineage == ("first", before.digest)


def test_a_new_part_counts_its_own(tmp_path: Path) -> None:
    model(tmp_path / "m")
    own = Card("m", "2", "generate", steps=30, data=(NEW,))
    assert descended(own, tmp_path / "m", "flow-text").steps == 30
    assert descended(own, tmp_path / "m", "flow-mri").steps == 30  # the model has it no longer
    assert descended(own, tmp_path / "m", "flow-xray", goes_on=False).steps == 30
    assert descended(own, tmp_path / "m", "codec-ct").steps == 30  # nobody tells its own
    assert descended(own, None, "flow-text") == replace(own, extra={"steps-flow-text": 30})


def test_of_several_parts_each_has_its_own(tmp_path: Path) -> None:
    model(tmp_path / "m")
    own = Card("m", "2", "generate", steps=30, extra={"seen": 1})
    after = descended(own, tmp_path / "m", "flow-ct", "flow-text")
    assert after.extra == {"seen": 1, "steps-flow-ct": 35, "steps-flow-text": 30}
    assert after.steps == 35
