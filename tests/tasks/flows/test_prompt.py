"""Prompts are retold in the words of training, and say the same there."""

import pytest

from medgen.encoders.tokenizer import train_tokenizer
from medgen.finding import Presence
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import load_phrases
from medgen.tasks.flows.prompt import Prompt, in_words, read_prompt

PHRASES = load_phrases()
TEXTS = ["There is a large left pleural effusion. No pneumothorax."] * 4
TOKENIZER = train_tokenizer(TEXTS, 300)


def read(text: str, *, max_tokens: int = 400) -> Prompt:
    return read_prompt(text, PHRASES, TOKENIZER, known=None, max_tokens=max_tokens)


@pytest.mark.parametrize(
    "text",
    [
        "Large left pleural effusion. Heart size normal.",
        "RUL consolidation, possible small left pneumothorax",
        "Mass in the left lower lobe, 45 mm. No effusion.",
        "Known pacemaker on the left; moderate cardiomegaly.",
    ],
)
def test_retold_it_says_the_same(text: str) -> None:
    prompt = read(text)
    assert prompt.retold
    assert set(read_findings(prompt.retold, PHRASES)) == set(prompt.findings)
    there = {one for one in prompt.findings if one.presence is not Presence.ABSENT}
    assert set(read_findings(prompt.there, PHRASES)) == there
    assert read(text) == prompt


def test_what_is_absent_is_retold_where_nothing_is_there() -> None:
    prompt = read("No effusion. Heart size normal.")
    assert {one.name for one in prompt.findings} == {"pleural_effusion", "cardiomegaly"}
    assert set(read_findings(prompt.there, PHRASES)) == set(prompt.findings)


def test_what_says_nothing_is_not_retold() -> None:
    for text in ("A nice picture.", ""):
        assert read(text).retold == read(text).there == ""


def test_what_would_not_fit_is_not_retold() -> None:
    long = read("Left effusion.", max_tokens=40)
    assert long.retold == long.there == ""


def test_words_that_are_retold_are_not_lost_and_others_are() -> None:
    assert not read("Large left pleural effusion. Heart size normal.").is_misread
    assert read("Left zygomatic effusion.").unseen == ("zygomatic",)
    assert "size" in read("Heart size normal.", max_tokens=40).unseen  # it is told as it stands


def test_what_is_absent_keeps_its_place_in_words() -> None:
    for text in ("No left effusion.", "No consolidation in the right upper lobe.", "No effusion."):
        (absent,) = read_findings(text, PHRASES)
        assert read_findings(f"{in_words(absent)}.", PHRASES) == [absent]
