"""Cues reach findings from their own side; of two that overlap, the longer one counts."""

import pytest

from medgen.finding import Presence
from medgen.metrics.cues import cues_of, presence_of
from medgen.metrics.phrases import load_phrases

PHRASES = load_phrases()


@pytest.mark.parametrize(
    ("clause", "presences"),
    [
        ("no effusion", [Presence.ABSENT]),
        ("effusion not without doubt", [Presence.PRESENT]),
        ("not without effusion", [Presence.PRESENT]),
        ("possible effusion", [Presence.UNCERTAIN]),
        ("effusion possible", [Presence.UNCERTAIN]),
        ("effusion cannot be excluded", [Presence.UNCERTAIN]),
        ("history of effusion", [None]),
        ("effusion in 2019", [None]),
        ("effusion or pneumothorax", [Presence.UNCERTAIN, Presence.UNCERTAIN]),
        ("no effusion or pneumothorax", [Presence.ABSENT, Presence.ABSENT]),
        ("consolidation around the mass has resolved", [Presence.ABSENT, Presence.PRESENT]),
    ],
)
def test_what_is_said_of_each_finding(clause: str, presences: list[Presence | None]) -> None:
    names = list(PHRASES.finding.find(clause))
    cues = cues_of(clause, PHRASES, list(PHRASES.course.find(clause)))
    assert [presence_of(name, cues, names, clause) for name in names] == presences


def test_a_bare_not_does_not_reach_far() -> None:
    near, far = "not an effusion", "could not stand for the film, and has a large effusion"
    for clause, presence in ((near, Presence.ABSENT), (far, Presence.PRESENT)):
        (name,) = PHRASES.finding.find(clause)
        cues = cues_of(clause, PHRASES, [])
        assert presence_of(name, cues, [name], clause) is presence
