"""Two dates of one patient differ in what the course of each finding says, and in nothing else."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from torch import Generator

from medgen.data.manifest import read_manifest
from medgen.finding import Course, Presence
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import load_phrases
from medgen.modality import Kind
from medgen.phantom.chest_findings import LARGE_HEART, OFTEN, diseases
from medgen.phantom.chest_study import ChestConfig
from medgen.phantom.course import GROWTH, Moment, single, visit_of
from medgen.phantom.fact import Fact
from medgen.phantom.head_findings import OFTEN as OFTEN_IN_HEADS
from medgen.phantom.head_findings import fallen_ill
from medgen.tasks.phantom import PhantomConfig, simulate
from tests.phantom.toy_chest import toy_chest
from tests.phantom.toy_head import SPACING, toy_tissue

CHEST, HEAD = toy_chest(), toy_tissue()
NAMES = ["nodule", "pleural_effusion", "consolidation"]
SIZED = ("diameter_mm", "volume_ml", "share", "share_of_lobe")


def seen(seed: int, *, is_later: bool) -> list[Fact]:
    visit = visit_of(NAMES, seed, 0, is_later=is_later)
    return [fact for one in diseases(CHEST, NAMES, visit) for fact in one.facts]


def key(fact: Fact) -> tuple[str, str | None, str | None]:
    return fact.finding.name, fact.finding.side, fact.finding.region


def present(facts: Iterable[Fact]) -> dict[tuple[str, str | None, str | None], Fact]:
    return {key(one): one for one in facts if one.finding.presence is Presence.PRESENT}


def test_what_grows_stays_within_its_range() -> None:
    for drawn in (4.0, 9.0, 30.0):
        moments = [Moment(Course.LARGER, is_later, 2.0) for is_later in (False, True)]
        before, after = (one.size(drawn, 4, 30) for one in moments)
        assert 4 <= before < after <= 30
        assert after == pytest.approx(2 * before)
        assert moments[0].largest(drawn, 4, 30) == after


@pytest.mark.parametrize("course", [None, Course.NEW, Course.UNCHANGED, Course.GONE])
def test_what_does_not_grow_has_one_size(course: Course | None) -> None:
    assert {Moment(course, each, 2.0).size(7.0, 4, 30) for each in (False, True)} == {7.0}


def test_new_is_not_there_before_and_gone_not_after() -> None:
    there = {
        course: [Moment(course, is_later).is_there for is_later in (False, True)]
        for course in Course
    }
    assert there[Course.NEW] == [False, True]
    assert there[Course.GONE] == [True, False]
    assert there[Course.UNCHANGED] == there[Course.LARGER] == [True, True]


def test_a_chest_changes_as_its_facts_say() -> None:
    courses = set()
    for seed in range(20):
        before, later = (seen(seed, is_later=each) for each in (False, True))
        assert all(fact.finding.course is None for fact in before)
        early, late = present(before), present(later)
        gone = {key(one) for one in later if one.finding.course is Course.GONE}
        assert gone == early.keys() - late.keys()
        for place, fact in late.items():
            course = fact.finding.course
            courses.add(course)
            assert (course is Course.NEW) == (place not in early)
            if place in early:
                for name in fact.measures.keys() & SIZED:
                    was, is_now = early[place].measures[name], fact.measures[name]
                    ratio = is_now / was
                    is_larger = course is Course.LARGER
                    assert (ratio > 1.1) if is_larger else is_now == was, (place, name, ratio)
        courses |= {Course.GONE} if gone else set()
    assert courses == set(Course)


def test_a_growing_nodule_stays_where_it_is() -> None:
    grown = 0
    for seed in range(60):
        visits = [visit_of(["nodule"], seed, 0, is_later=each) for each in (False, True)]
        if visits[0].moments["nodule"].course is not Course.LARGER:
            continue
        small, large = (next(diseases(CHEST, ["nodule"], each)) for each in visits)
        middles = [one.overlays[0].share.nonzero().float().mean(0) for one in (small, large)]
        assert (middles[0] - middles[1]).norm() < 1.5  # voxels
        grown += 1
    assert grown > 5


def test_a_head_changes_as_its_facts_say() -> None:
    names = list(OFTEN_IN_HEADS)[:3]
    for seed in range(6):
        heads = [
            fallen_ill(HEAD, SPACING, names, visit_of(names, seed, 0, is_later=each))
            for each in (False, True)
        ]
        early, late = (present(head.facts) for head in heads)
        for place, fact in late.items():
            assert (place not in early) == (fact.finding.course is Course.NEW)
        for place in early.keys() - late.keys():
            assert place in {key(f) for f in heads[1].facts if f.finding.course is Course.GONE}


def test_a_single_visit_has_no_course() -> None:
    generator = Generator().manual_seed(0)
    found = diseases(CHEST, list(OFTEN), single(generator))
    assert {fact.finding.course for one in found for fact in one.facts} == {None}
    assert 0 < LARGE_HEART < 1 < GROWTH[0]


def test_the_second_study_of_a_patient_is_listed_and_compared(tmp_path: Path) -> None:
    study = ChestConfig(seed=5, spacing=2.5, kinds=(Kind.parse("text"),), ill=1.0, follow_up=True)
    written = list(simulate(PhantomConfig(2, study=study), tmp_path / "made"))
    listed = read_manifest(tmp_path / "made" / "manifest.jsonl")
    assert [one.id for one in listed[:2]] == ["study-0001", "study-0001-follow-up"]
    assert [one.patient for one in listed] == ["study-0001"] * 2 + ["study-0002"] * 2
    for first, second in zip(written[::2], written[1::2], strict=True):
        assert "days_since_last" not in first.facts
        assert second.facts["days_since_last"] >= 3
        for name in ("sex", "age_years", "posture"):
            assert first.facts[name] == second.facts[name]
        text = second.study.text
        assert text is not None
        told = {(one.name, one.course) for one in read_findings(text.read_text(), load_phrases())}
        true = {(one["name"], one.get("course")) for one in second.facts["findings"]}
        assert told <= true
        assert {one for one in true if one[1]} <= told
