"""Ill heads have one to three findings in places of their own, and reports that say so."""

from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Generator

from medgen.finding import Presence
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import load_phrases
from medgen.phantom.course import single
from medgen.phantom.fact import absent, report_of
from medgen.phantom.head_findings import NAMES, OFTEN, IllHead, drawn_names, fallen_ill
from medgen.phantom.study import simulate_study
from medgen.phantom.study_config import StudyConfig
from tests.phantom.toy_head import SPACING, toy_tissue

PHRASES = load_phrases()


HEALTHY = toy_tissue()


@cache
def ill(seed: int) -> IllHead:
    generator = Generator().manual_seed(seed)
    return fallen_ill(HEALTHY, SPACING, drawn_names(generator), single(generator))


def test_one_to_three_each_at_most_once() -> None:
    counts: Counter[int] = Counter()
    for seed in range(1000):
        names = drawn_names(Generator().manual_seed(seed))
        assert len(set(names)) == len(names)
        counts[len(names)] += 1
    assert set(counts) == {1, 2, 3}


@pytest.mark.parametrize("seed", range(8))
def test_each_has_a_place_of_its_own(seed: int) -> None:
    found = ill(seed)
    places = [
        (f.finding.side, f.finding.region)
        for f in found.facts
        if f.finding.region and f.finding.name != "brain_oedema"
    ]
    assert len(places) == len(set(places))
    assert {fact.finding.name for fact in found.facts} <= set(NAMES)


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_the_report_is_true(seed: int, held_out: bool) -> None:
    found = ill(seed).facts
    facts = [*found, *absent(NAMES, found)]
    generator = Generator().manual_seed(seed)
    report = report_of(facts, generator=generator, technique="CT of the head.", held_out=held_out)
    said = set(read_findings(report.text, PHRASES))
    true = {fact.finding for fact in facts}
    assert said <= true, report.text
    assert {one for one in true if one.presence is Presence.PRESENT} <= said, report.text


def test_only_a_large_lump_shifts_the_midline() -> None:
    shifts = 0
    for seed in range(30):
        found = ill(seed)
        names = [fact.finding.name for fact in found.facts]
        if "midline_shift" in names:
            shifts += 1
            assert {"haemorrhage", "brain_mass"} & set(names)
        else:
            assert torch.equal(found.tissue, HEALTHY)
    assert shifts


def test_only_who_asks_for_disease_gets_it() -> None:
    config = StudyConfig(seed=4, spacing=6.0, contrasts=())
    healthy, ill = (simulate_study(config, 0) for config in (config, replace(config, ill=1.0)))
    assert healthy.facts["findings"] == []
    assert healthy.report is None
    present = [f["name"] for f in ill.facts["findings"] if f["presence"] == "present"]
    assert present
    assert set(OFTEN) <= {f["name"] for f in ill.facts["findings"]}
