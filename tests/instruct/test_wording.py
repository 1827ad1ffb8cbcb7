"""Every way in which training says a role is read as that role, and leaves the rest untouched."""

from itertools import permutations

import pytest

from medgen.errors import UsageError
from medgen.instruct.instruction import Instruction, Role
from medgen.instruct.wording import PHRASES, worded

SAID = "Large left pleural effusion. Heart size normal."
ALL = [(role, phrase) for role, phrases in PHRASES.items() for phrase in phrases]


@pytest.mark.parametrize(("role", "phrase"), ALL, ids=lambda each: str(each))
def test_a_phrase_is_read_as_it_is_meant(role: Role, phrase: str) -> None:
    for text in (f"{SAID} {phrase.format('[ref#1]').capitalize()}.", f"{phrase}. {SAID}"):
        text = text.format("[ref#1]").replace("[Ref", "[ref")
        read = worded(Instruction.parse(text, ["1=a.png"]))
        assert (read.said, read.roles) == (SAID, (role,)), text


def test_a_role_that_is_given_counts() -> None:
    text = "in the look of [ref#1]"
    assert worded(Instruction.parse(text, ["1=a.png:subject"])).roles == (Role.SUBJECT,)


def test_words_that_could_name_a_role_stay_where_they_say_something() -> None:
    text = "Small region of consolidation inside the lobe in the look of [ref#1]."
    read = worded(Instruction.parse(text, ["1=a.png"]))
    assert read.said == "Small region of consolidation inside the lobe."
    assert read.roles == (Role.LOOK,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Small nodule within the left lower lobe [ref#1].",
            "Small nodule within the left lower lobe.",
        ),
        (
            "Patient with a large left pleural effusion and cardiomegaly as in [ref#1].",
            "Patient with a large left pleural effusion and cardiomegaly.",
        ),
        (
            "CT without contrast shows a mass in the right upper lobe in [ref#1]",
            "CT without contrast shows a mass in the right upper lobe",
        ),
        ("Prior right pneumothorax now resolved [ref#1]", "Prior right pneumothorax now resolved"),
    ],
)
def test_words_that_say_something_of_their_own_are_kept_and_name_no_role(
    text: str, said: str
) -> None:
    read = worded(Instruction.parse(text, ["1=a.png"]))
    assert (read.said, read.roles) == (said, (Role.CONTEXT,))


def test_what_only_points_may_lie_between() -> None:
    ways = ("in the look of the earlier scan {}", "with the anatomy that is in {}")
    for text in [way.format("[ref#1]") for way in (*ways, "look: {}", "use {} as look")]:
        read = worded(Instruction.parse(f"Nodule, {text}.", ["1=a.png"]))
        assert read.said == "Nodule."
        assert read.roles[0] in (Role.LOOK, Role.ANATOMY)


@pytest.mark.parametrize("joint", [" and ", ", ", ", and ", " and of "])
def test_marks_that_are_joined_share_a_role(joint: str) -> None:
    text = f"Nodule, in the look of [ref#1]{joint}[ref#2], anatomy of [ref#3]."
    read = worded(Instruction.parse(text, ["1=a.png", "2=b.png", "3=c.png"]))
    assert read.said == "Nodule."
    assert read.roles == (Role.LOOK, Role.LOOK, Role.ANATOMY)


def test_what_says_something_of_its_own_joins_no_marks() -> None:
    text = "In the look of [ref#1], nodule [ref#2]."
    read = worded(Instruction.parse(text, ["1=a.png", "2=b.png"]))
    assert (read.said, read.roles) == ("nodule.", (Role.LOOK, Role.CONTEXT))


@pytest.mark.parametrize(
    "text", ["In the look of [ref#1], anatomy of [ref#1].", "In the look and anatomy of [ref#1]."]
)
def test_one_mark_has_one_role(text: str) -> None:
    with pytest.raises(UsageError, match=r"\[ref#1\]: is look and anatomy at once; .*1=FILE:look"):
        worded(Instruction.parse(text, ["1=a.png"]))
    said = worded(Instruction.parse(text, ["1=a.png:subject"]))
    assert said.roles == (Role.SUBJECT,)


def test_a_plain_prompt_stays_as_it_is() -> None:
    assert worded(Instruction("  Any  text, as it is ,. ")).said == "  Any  text, as it is ,. "


def test_marks_renumbered_with_their_files_say_the_same() -> None:
    text = "Nodule in the look of [ref#{}], anatomy of [ref#{}], of the patient in [ref#{}]."
    for numbers in permutations((1, 2, 3)):
        words = [f"{n}={file}" for n, file in zip(numbers, "abc", strict=True)]
        one = Instruction.parse(text.format(*numbers), words)
        read = worded(one)
        roles = {ref.file: role for ref, role in zip(one.references, read.roles, strict=True)}
        assert roles == {"a": Role.LOOK, "b": Role.ANATOMY, "c": Role.SUBJECT}
        assert read.said == "Nodule."
