"""A concept is one small file that is what was saved, and fits one model."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from medgen.checkpoint import Card, Part
from medgen.concepts.concept import Concept
from medgen.errors import InputError, ModelError, SafetyError, UsageError
from medgen.modality import Kind
from medgen.tasks.weaving.bank import Bank, Look
from medgen.tasks.weaving.concept_card import ConceptCard
from medgen.tasks.weaving.concept_file import (
    MOST_BYTES,
    LoadedConcept,
    check_base,
    check_kind,
    load_concept,
    save_concept,
)

LOOK = Look(0.5, 0.25, 0.125)
CARD = ConceptCard("nodule", "mri:t1", "Nodule.", "abc", Bank(LOOK, LOOK, 3), licence="CC0-1.0")
BASE = Card("toy", "1", "generate", parts={"flow-mri": Part("flow-mri.safetensors", "abc", 1)})
T1 = Kind.parse("mri:t1")


def concept(rows: int = 4, columns: int = 3, layers: int = 2) -> Concept:
    made = Concept(torch.randn(1, 2, columns), {f"a.{at}": (rows, columns) for at in range(layers)})
    with torch.no_grad():
        for one in made.parameters():
            one.copy_(torch.randn(one.shape).half().float())
        made.said.copy_(made.said.half().float())
    return made


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    made = concept()
    loaded = load_concept(save_concept(made, CARD, tmp_path / "n.concept"))
    assert loaded.card == CARD
    for name, one in made.state_dict().items():
        torch.testing.assert_close(loaded.concept.state_dict()[name], one)


def test_the_card_is_in_the_files_metadata(tmp_path: Path) -> None:
    path = save_concept(concept(), CARD, tmp_path / "n.concept")
    with safe_open(path, "pt") as file:
        card = json.loads(file.metadata()["card"])
    assert card["licence"] == "CC0-1.0"
    assert card["base"] == "abc"


def test_a_large_one_is_thinned_until_it_fits(tmp_path: Path) -> None:
    """Of changes of low rank, as learned ones nearly are, nothing is lost but half precision."""
    made = concept(800, 400, layers=4)
    with torch.no_grad():
        for one in (*made.keys.values(), *made.values.values()):
            one.copy_(torch.randn(800, 1) @ torch.randn(1, 400))
    path = save_concept(made, CARD, tmp_path / "n.concept")
    assert path.stat().st_size <= MOST_BYTES
    loaded = load_concept(path).concept
    for name, one in made.keys.items():
        torch.testing.assert_close(loaded.keys[name], one, atol=0.02, rtol=0.01)


def test_another_model_is_refused() -> None:
    loaded = load_from(CARD)
    check_base(loaded, Path("n.concept"), BASE, T1)
    check_kind(loaded, Path("n.concept"), T1)
    other = replace(BASE, parts={"flow-mri": Part("flow-mri.safetensors", "xyz", 1)})
    with pytest.raises(ModelError, match="learned on another model than toy"):
        check_base(loaded, Path("n.concept"), other, T1)


@pytest.mark.parametrize("word", ["ct", "mri:t2"])
def test_another_modality_or_contrast_is_refused(word: str) -> None:
    with pytest.raises(InputError, match="is a concept of mri:t1"):
        check_kind(load_from(CARD), Path("n.concept"), Kind.parse(word))


def test_a_view_from_the_side_is_another_kind() -> None:
    loaded = load_from(replace(CARD, kind="xray"))
    with pytest.raises(InputError, match="is a concept of xray"):
        check_kind(loaded, Path("n.concept"), Kind.parse("xray:lateral"))


@pytest.mark.parametrize("name", ["../../evil", "a/b", "nodule.v2", "", " "])
def test_a_name_that_could_be_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no name for a mask's file"):
        replace(CARD, name=name)
    path = save_concept(concept(), CARD, tmp_path / "n.concept")
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    head = data[8 : 8 + length].replace(rb"\"nodule\"", rb"\"%s\"" % name.encode())
    assert head != data[8 : 8 + length]
    path.write_bytes(len(head).to_bytes(8, "little") + head + data[8 + length :])
    with pytest.raises(InputError, match="is no concept, or damaged"):
        load_concept(path)


def load_from(card: ConceptCard) -> LoadedConcept:
    return LoadedConcept(concept(), card, "")


def test_what_is_no_concept_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "n.concept"
    with pytest.raises(InputError, match="cannot be read"):
        load_concept(path)
    for rubbish in (b"", b"rubbish" * 9, b"\x02\0\0\0\0\0\0\0{}"):
        path.write_bytes(rubbish)
        with pytest.raises(InputError, match="is no concept, or damaged"):
            load_concept(path)
    path.write_bytes(pickle.dumps({"weights": 1}))
    with pytest.raises(SafetyError, match="is a pickle"):
        load_concept(path)
    with pytest.raises(UsageError, match=r"ends in \.concept"):
        save_concept(concept(), CARD, tmp_path / "n.safetensors")
