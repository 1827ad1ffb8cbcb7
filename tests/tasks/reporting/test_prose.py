"""Prose says all that the table does and nothing else, whatever the writer wrote."""

from dataclasses import replace
from itertools import product

import pytest

from medgen.finding import Course, Finding, Presence, Side
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import load_phrases
from medgen.tasks.reporting.prose import NOTHING, Prose, plain_sentence, prose_of, read_back
from medgen.tasks.reporting.table import Row

PHRASES = load_phrases()
SIDED, UNSIDED = ("pleural_effusion", "nodule", "consolidation", "fracture"), ("oedema",)


def row(name: str, presence: Presence, side: Side | None = None, **more: object) -> Row:
    claim = f"{name}:{side}" if side else name
    return Row(claim, Finding(name, presence, side=side, **more), 0.9)  # type: ignore[arg-type]


ROWS = [
    row("pleural_effusion", Presence.PRESENT, Side.LEFT, severity="small"),
    row("nodule", Presence.PRESENT, Side.RIGHT, region="upper_lobe", size_mm=12.0),
    row("oedema", Presence.UNCERTAIN),
    row("pleural_effusion", Presence.ABSENT, Side.RIGHT),
    row("nodule", Presence.ABSENT, Side.LEFT),
    row("pneumothorax", Presence.ABSENT, Side.LEFT),
    row("pneumothorax", Presence.ABSENT, Side.RIGHT),
]


def texts(prose: Prose) -> list[str]:
    return [one.text for one in prose.findings]


@pytest.mark.parametrize("presence", [Presence.PRESENT, Presence.UNCERTAIN])
@pytest.mark.parametrize("name", [*SIDED, *UNSIDED])
def test_plain_sentences_read_back_as_they_were_meant(name: str, presence: Presence) -> None:
    courses = [None, Course.NEW, Course.LARGER] if presence is Presence.PRESENT else [None]
    sides = (Side.LEFT, Side.RIGHT) if name in SIDED else (None,)
    regions = (None, "lower_lobe") if name in SIDED else (None,)
    for side, region, severity, course in product(sides, regions, (None, "large"), courses):
        meant = Finding(name, presence, side, region, severity=severity, course=course)
        assert read_findings(plain_sentence(meant), PHRASES) == [meant]


def test_true_sentences_stay_and_name_their_claims() -> None:
    words = "FINDINGS: A tiny left pleural effusion is noted. No pneumothorax is seen."
    prose = prose_of(words, ROWS, PHRASES)
    assert texts(prose)[:2] == [
        "A tiny left pleural effusion is noted.",
        "No pneumothorax is seen.",
    ]
    assert prose.findings[0].claims == ("pleural_effusion:left",)
    assert prose.findings[1].claims == ("pneumothorax:left", "pneumothorax:right")
    assert not prose.dropped


def test_what_is_not_assessed_is_not_denied_and_a_last_sentence_says_so() -> None:
    unknown = [
        replace(row("fracture", Presence.ABSENT, side), is_assessed=False)
        for side in (Side.LEFT, Side.RIGHT)
    ]
    unknown.append(replace(row("emphysema", Presence.ABSENT), is_assessed=False))
    rows = [*(one for one in ROWS if one.claim != "nodule:left"), *unknown]
    rows.append(replace(row("nodule", Presence.ABSENT, Side.LEFT), is_assessed=False))
    words = "FINDINGS: No rib fracture. No emphysema. No pneumothorax is seen."
    prose = prose_of(words, rows, PHRASES)
    assert prose.dropped == ("No rib fracture.", "No emphysema.")
    both, left = prose.findings[-2:]
    assert both.text == "Emphysema or rib fracture cannot be assessed."
    assert set(both.claims) == {"fracture:left", "fracture:right", "emphysema"}
    assert (left.text, left.claims) == ("Left nodule cannot be assessed.", ("nodule:left",))
    told = read_findings(f"{both.text} {left.text}", PHRASES)
    assert told == [
        Finding("emphysema", Presence.UNCERTAIN),
        Finding("fracture", Presence.UNCERTAIN),
        Finding("nodule", Presence.UNCERTAIN, Side.LEFT),
    ]
    assert "cannot be assessed" not in prose_of(words, ROWS, PHRASES).text
    assert prose_of("FINDINGS: No nodule.", rows, PHRASES).dropped == ("No nodule.",)  # of no side
    assert read_back(words, rows, PHRASES).findings[-2:] == (both, left)
    nothing = prose_of("IMPRESSION: No acute abnormality.", unknown, PHRASES)
    assert nothing.findings == nothing.impression == (both,)


@pytest.mark.parametrize(
    "wrong",
    [
        "There is a right pneumothorax.",
        "Large left pleural effusion.",
        "Right pleural effusion.",
        "Bilateral pleural effusions.",
        "No pulmonary oedema.",
        "Nodule in the right lower lobe, measuring 12 mm.",
        "Nodule in the right upper lobe, measuring 20 mm.",
        "New left pleural effusion.",
        "Rib fracture on the left.",
        "The weather is fine.",
    ],
)
def test_what_the_table_does_not_say_is_dropped(wrong: str) -> None:
    prose = prose_of(f"FINDINGS: {wrong}", ROWS, PHRASES)
    assert prose.dropped == (wrong,)
    assert wrong not in prose.text
    assert read_back(f"FINDINGS: {wrong}", ROWS, PHRASES).text.startswith(f"FINDINGS: {wrong}")


def test_what_nobody_said_is_added_in_plain_words() -> None:
    prose = prose_of("", ROWS, PHRASES)
    assert texts(prose) == [
        "Small left pleural effusion.",
        "Nodule in the right upper lobe, measuring 12 mm.",
        "Possible pulmonary oedema.",
    ]
    assert prose.impression[1].text == "Nodule in the right upper lobe."
    assert prose.added == 6


def test_nothing_is_said_where_nothing_is() -> None:
    nothing = [row("oedema", Presence.ABSENT)]
    prose = prose_of("FINDINGS: Marked pulmonary oedema.", nothing, PHRASES)
    assert prose.text == f"FINDINGS: {NOTHING}\nIMPRESSION: {NOTHING}"


def test_what_is_gone_is_told() -> None:
    gone = [row("pneumothorax", Presence.ABSENT, Side.LEFT, course=Course.GONE)]
    prose = prose_of("FINDINGS: No pneumothorax.", gone, PHRASES)
    assert texts(prose) == ["The previous left pneumothorax has resolved."]
