"""A counterfactual report says what is true but for one fact, and that is not true."""

from collections.abc import Iterator

import pytest

from medgen.data.counterfactuals import Change, Counterfactual
from medgen.finding import Finding, Presence, Side
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import load_phrases
from medgen.phantom.counterfactual import SORTS, counterfactuals
from medgen.phantom.fact import Fact
from medgen.phantom.report import NOUNS

PHRASES = load_phrases()
PATIENTS = [
    [Finding("nodule", side=Side.LEFT, region="upper_lobe", size_mm=12.0)],
    [
        Finding("pleural_effusion", side=Side.RIGHT, severity="small"),
        Finding("consolidation", side=Side.RIGHT, region="middle_lobe", severity="large"),
        Finding("pneumothorax", Presence.ABSENT),
    ],
    [
        Finding("pleural_effusion", side=Side.RIGHT, severity="small"),
        Finding("pleural_effusion", side=Side.LEFT, severity="large"),
        Finding("device", side=Side.LEFT),
    ],
    [
        Finding("brain_mass", side=Side.LEFT, region="frontal", size_mm=40.0),
        Finding("midline_shift", size_mm=6.0, severity="moderate"),
        Finding("atrophy", Presence.ABSENT),
    ],
    [Finding(name, Presence.ABSENT) for name in ("emphysema", "oedema", "fracture")],
]


def pairs(patient: list[Finding], rounds: int = 6) -> Iterator[Counterfactual]:
    facts = [Fact(one) for one in patient]
    return counterfactuals(facts, rounds=rounds, seed=0, index=3, technique="CT of the body.")


def read(text: str) -> set[Finding]:
    return set(read_findings(text, PHRASES))


@pytest.mark.parametrize("patient", PATIENTS)
def test_what_is_said_is_true_and_what_is_changed_is_not(patient: list[Finding]) -> None:
    there = {one for one in patient if one.presence is Presence.PRESENT}
    absent = {one.name for one in patient if one.presence is Presence.ABSENT}
    found = list(pairs(patient))
    assert found
    for pair in found:
        said = read(pair.says)
        measured = {one for one in said if one.presence is Presence.PRESENT}
        assert there <= measured
        assert {one.name for one in said if one.presence is Presence.ABSENT} <= absent
        assert read(pair.changed) != said


@pytest.mark.parametrize("patient", PATIENTS)
def test_one_fact_differs_and_the_other_sentences_are_the_same(patient: list[Finding]) -> None:
    for pair in pairs(patient):
        one, other = (text.partition("FINDINGS: ")[2] for text in (pair.says, pair.changed))
        first, second = (text.partition("\n")[0].split(". ") for text in (one, other))
        is_bilateral = [each.name for each in patient].count("pleural_effusion") > 1
        if len(first) == len(second):
            assert sum(a != b for a, b in zip(first, second, strict=True)) == 1
        else:
            assert is_bilateral
            assert pair.change is Change.PRESENCE


@pytest.mark.parametrize(
    ("change", "field"),
    [(Change.SIDE, "side"), (Change.REGION, "region"), (Change.SIZE, "size_mm")],
)
def test_the_change_is_the_one_that_is_named(change: Change, field: str) -> None:
    (true,) = PATIENTS[0]
    for pair in pairs(PATIENTS[0]):
        if pair.change is change:
            changed = [one for one in read(pair.changed) if one.name == "nodule" and one.size_mm]
            differing = [
                name
                for name in ("side", "region", "size_mm")
                if getattr(changed[0], name) != getattr(true, name)
            ]
            assert differing == [field]


def test_a_changed_size_is_clearly_another() -> None:
    sizes = [
        one.size_mm
        for pair in pairs(PATIENTS[0], rounds=20)
        if pair.change is Change.SIZE
        for one in read(pair.changed)
        if one.size_mm
    ]
    assert len(sizes) == 20
    assert all(4 <= size <= 8 or 18 <= size <= 30 for size in sizes)
    assert min(sizes) < 8 < 18 < max(sizes)


def test_sides_of_what_is_on_both_are_left_alone() -> None:
    changed = [pair for pair in pairs(PATIENTS[2]) if pair.change is Change.SIDE]
    assert all("pacemaker" in pair.changed for pair in changed)
    assert all("both" not in pair.changed for pair in changed)


def test_a_middle_lobe_is_not_moved_to_the_left() -> None:
    changed = [pair.changed for pair in pairs(PATIENTS[1], 20) if pair.change is Change.SIDE]
    assert changed
    for text in changed:
        assert Finding("consolidation", side=Side.LEFT, region="middle_lobe") not in read(text)
        assert any(one.side is Side.RIGHT and one.name == "consolidation" for one in read(text))


def test_the_same_patient_gets_the_same_pairs_and_every_finding_is_known() -> None:
    assert list(pairs(PATIENTS[1])) == list(pairs(PATIENTS[1]))
    assert SORTS.keys() <= NOUNS.keys()
