"""What was parsed prints as it was, whatever it was; what makes no sense is refused in a line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgen.errors import UsageError
from medgen.instruct.instruction import MAX_REFERENCES, Instruction, Reference, Role

WORD = st.text(st.characters(exclude_characters="[]", exclude_categories=["Cs"]), max_size=12)
ROLE = st.sampled_from([None, *Role])


PIECE = st.tuples(st.integers(1, 99), WORD, WORD, ROLE, WORD)
PIECES = st.lists(PIECE, unique_by=lambda piece: piece[0], max_size=MAX_REFERENCES)
Pieces = list[tuple[int, str, str, Role | None, str]]


def instruction_of(start: str, pieces: Pieces) -> Instruction:
    text = start + "".join(f"[ref#{number}]{after}" for number, after, *_ in pieces)
    references = [
        Reference(number, file.replace(":", "/") + ".nii", role, caption)
        for number, _, file, role, caption in pieces
    ]
    return Instruction(text, tuple(references))


@given(WORD, PIECES)
def test_print_and_parse_are_inverse(start: str, pieces: Pieces) -> None:
    one = instruction_of(start, pieces)
    assert Instruction.parse(one.text, one.words) == one


@given(WORD, PIECES)
def test_json_and_back(start: str, pieces: Pieces) -> None:
    one = instruction_of(start, pieces)
    assert Instruction.from_json(json.loads(json.dumps(one.as_json()))) == one


def test_without_references_it_is_a_plain_prompt() -> None:
    assert Instruction.parse("Left effusion.").as_json() == {"text": "Left effusion."}


def test_a_colon_in_a_name_is_no_role() -> None:
    word = "1=mri:t1=C:/a look/b.nii:subject:of 2019: stable"
    one = Reference.parse(word)
    assert (one.file, one.role) == ("mri:t1=C:/a look/b.nii", Role.SUBJECT)
    assert one.caption == "of 2019: stable"
    assert str(one) == word


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("as [ref#1]", [], r"\[ref#1\]: has no file; add --ref 1=FILE"),
        ("none", ["1=a.png"], r"--ref 1=…: the text has no \[ref#1\]"),
        ("[ref#1]", ["1=a.png", "1=b.png"], "given twice"),
        ("[ref#1]", ["1=a.png:mood"], "the role 'mood' is none of look, subject"),
        ("[ref#1]", ["a.png"], r"is not N=FILE\[:ROLE\]"),
        ("[ref#1]", ["1="], "names no file"),
        ("[ref1]", ["1=a.png"], r"'\[ref1\]': is no mark"),
        ("[ref#0]", ["1=a.png"], "is no mark"),
        ("".join(f"[ref#{n}]" for n in range(1, 21)), [f"{n}=a" for n in range(1, 21)], "at most"),
    ],
)
def test_what_makes_no_sense(text: str, words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Instruction.parse(text, words)


@pytest.mark.parametrize(
    "values",
    [
        {"text": 3},
        {"text": "[ref#1]", "references": ["a.png"]},
        {"text": "[ref#1]", "references": {"1": {"path": "a.png"}}},
        {"text": "[ref#1]", "references": {"1": {"file": "a.png", "role": "mood"}}},
        {"text": "[ref#1]", "references": {"one": "a.png"}},
        {"text": "[ref#1]", "references": {"1": {}}},
    ],
)
def test_json_that_makes_no_sense(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Instruction.from_json(values)
