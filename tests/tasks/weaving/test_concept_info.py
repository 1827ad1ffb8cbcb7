"""What a concept's file says is what was saved in it, in a unit that a reader knows."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medgen.checkpoint import model_folder, read_card
from medgen.concepts.concept import Concept
from medgen.errors import InputError, SafetyError
from medgen.tasks.info import info
from medgen.tasks.weaving.bank import Bank, Look
from medgen.tasks.weaving.concept_card import ConceptCard
from medgen.tasks.weaving.concept_file import save_concept
from medgen.tasks.weaving.concept_info import ConceptFacts, Typical

BANK = Bank(Look(0.0, 0.02, 0.2), Look(0.1, 0.04, 0.02), 5)
CARD = ConceptCard(
    "nodule", "ct", "Nodule.", "abc", BANK, "five CTs", "CC0-1.0", steps=400, seed=3, spacing=2.0
)


def facts_of(card: ConceptCard, folder: Path) -> ConceptFacts:
    concept = Concept(torch.zeros(1, 2, 3), {f"level.{at}": (4, 3) for at in range(6)})
    facts = info(save_concept(concept, card, folder / "n.concept", overwrite=True)).concept
    assert facts is not None
    return facts


def test_the_bank_of_a_ct_is_in_hounsfield_units(tmp_path: Path) -> None:
    """-1 to 1 is -1024 to 3071 HU: 0 is 1023.5, and 0.2 are 409.5 more or less."""
    found = facts_of(CARD, tmp_path)
    looks = {name: (one.mean, one.spread) for name, one in found.looks.items()}
    assert looks["mean"] == pytest.approx((1023.5, 204.75))
    assert looks["deviation"] == pytest.approx((40.95, 81.9))
    assert looks["contrast"] == pytest.approx((409.5, 40.95))
    assert found.unit == "HU"


def test_that_of_any_other_scan_is_as_it_was_kept(tmp_path: Path) -> None:
    facts = facts_of(replace(CARD, kind="mri:t1"), tmp_path)
    assert facts.unit == "of -1 to 1"
    assert facts.looks["contrast"] == Typical(0.2, 0.02)


def test_the_facts_are_those_of_the_file(tmp_path: Path) -> None:
    facts = facts_of(CARD, tmp_path)
    assert (facts.card, facts.layers, facts.model) == (CARD, 6, None)
    assert facts.bytes == (tmp_path / "n.concept").stat().st_size
    base = read_card(model_folder("flows")).parts["flow-xray"].sha256
    assert facts_of(replace(CARD, kind="xray", base=base), tmp_path).model == "flows"


def test_the_document_holds_the_card(tmp_path: Path) -> None:
    facts_of(CARD, tmp_path)
    said = json.loads(info(tmp_path / "n.concept").to_json())["concept"]
    assert said["card"]["bank"]["examples"] == 5
    assert (said["card"]["licence"], said["card"]["data"]) == ("CC0-1.0", "five CTs")


def test_what_is_no_concept_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "n.concept"
    with pytest.raises(InputError, match="cannot be read"):
        info(path)
    path.write_bytes(b"rubbish" * 9)
    with pytest.raises(InputError, match="is no concept, or damaged"):
        info(path)
    path.write_bytes(pickle.dumps({"weights": 1}))
    with pytest.raises(SafetyError, match="is a pickle"):
        info(path)
