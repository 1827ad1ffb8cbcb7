"""Patients are ill in the shares that the table says, and only where it can be seen."""

from collections import Counter
from functools import cache

import pytest
from torch import Generator

from medgen.finding import Presence, Side
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import load_phrases
from medgen.phantom.chest_findings import (
    HIDDEN_ML,
    HIDDEN_SHARE,
    OFTEN,
    diseases,
    drawn_names,
)
from medgen.phantom.course import single
from medgen.phantom.fact import absent
from medgen.phantom.part import LOBES, LUNGS
from medgen.phantom.report import write_report
from tests.phantom.toy_chest import toy_chest

PHRASES = load_phrases()


CHEST = toy_chest()


@cache
def facts(seed: int) -> list:  # type: ignore[type-arg]
    generator = Generator().manual_seed(seed)
    names = drawn_names(generator)
    return [fact for one in diseases(CHEST, names, single(generator)) for fact in one.facts]


@cache
def names(seed: int) -> list[str]:
    return drawn_names(Generator().manual_seed(seed))


def test_nobody_has_more_than_four() -> None:
    counts = Counter(len(names(seed)) for seed in range(2000))
    assert set(counts) == {1, 2, 3, 4}


def test_every_finding_occurs_about_as_often_as_the_table_says() -> None:
    drawn = Counter(name for seed in range(4000) for name in names(seed))
    assert set(drawn) == set(OFTEN)
    assert drawn["pleural_effusion"] > drawn["nodule"] > drawn["fracture"] > 100


@pytest.mark.parametrize("seed", range(20))
def test_no_lobe_has_two_diseases_and_none_is_under_water(seed: int) -> None:
    found = facts(seed)
    places = [(f.finding.side, f.finding.region) for f in found if f.finding.region]
    assert len(places) == len(set(places))
    for fact in found:
        hides = fact.measures.get("volume_ml", 0) > 1.2 * HIDDEN_ML
        is_pleural = fact.finding.name in ("pleural_effusion", "pneumothorax")
        if fact.finding.name == "pneumothorax":
            hides = fact.measures["share"] > 1.2 * HIDDEN_SHARE
        if is_pleural and hides:
            assert all(side is not fact.finding.side for side, _ in places)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_not_present_is_known_to_be_absent(seed: int) -> None:
    found = facts(seed)
    present = {fact.finding.name for fact in found}
    missing = {fact.finding.name for fact in absent(OFTEN, found)}
    assert present | missing >= set(OFTEN)
    assert not present & missing
    assert all(fact.finding.presence is Presence.ABSENT for fact in absent(OFTEN, found))


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_the_report_says_what_is_true(seed: int, held_out: bool) -> None:
    found = [fact.finding for fact in facts(seed)]
    generator = Generator().manual_seed(seed)
    report = write_report(found, generator=generator, held_out=held_out)
    assert set(read_findings(report.text, PHRASES)) == set(found), report.text


def test_every_lobe_falls_ill() -> None:
    ill = {(f.finding.side, f.finding.region) for seed in range(80) for f in facts(seed)}
    for side, lobes in LUNGS.items():
        assert {(side, LOBES[lobe]) for lobe in lobes} <= ill
    assert (Side.LEFT, None) in ill
