"""A patient reads no word that only doctors know, but in brackets."""

import pytest

from medgen.finding import Finding, Presence, Side
from medgen.instruct.instruction import Role
from medgen.metrics.phrases import load_phrases
from medgen.tasks.generating.plain_words import NOUNS, TAKEN, explained, plainly


def test_every_finding_has_plain_words() -> None:
    known = {name for name in load_phrases().finding.meanings.values() if name != "unlisted"}
    assert known == NOUNS.keys()
    for name, noun in NOUNS.items():
        assert name.replace("_", " ") not in noun


@pytest.mark.parametrize(
    ("finding", "said"),
    [
        (
            Finding("cardiomegaly", severity="moderate"),
            "an enlarged heart, medium (doctors say: cardiomegaly)",
        ),
        (
            Finding("nodule", side=Side.BOTH, size_mm=8.0),
            "a small round spot in the lung, on both sides, 8 mm wide (doctors say: nodule)",
        ),
        (
            Finding("fracture", Presence.UNCERTAIN),
            "perhaps a broken bone (doctors say: fracture)",
        ),
        (Finding("my_own"), "my own (doctors say: my own)"),
    ],
)
def test_a_finding(finding: Finding, said: str) -> None:
    assert plainly(finding) == said


def test_all_that_was_taken_is_told_once_and_what_it_is_not() -> None:
    paragraphs = explained("", [], [Role.SUBJECT, Role.LOOK, Role.SUBJECT])
    assert "nothing that it knows by name" in paragraphs[0]
    assert paragraphs[1].count(TAKEN[Role.SUBJECT]) == 1
    assert TAKEN[Role.LOOK] in paragraphs[1]
    assert "not a scan of anybody" in " ".join(paragraphs)
    assert explained("A cough.", [], [Role.LOOK])[0] == "What was asked for: A cough."
