"""Facts become answers to claims: a report at its word, what it doubts as unknown."""

import json
import math
from pathlib import Path

import pytest
import torch

from medgen.errors import InputError
from medgen.finding import Course, Finding, Presence, Side
from medgen.tasks.facts import Fact, answers_of, as_fact, claims_of, read_facts, regions_of

CLAIMS = ("nodule:left", "nodule:right", "oedema", "pleural_effusion:left")


def test_claims_have_the_sides_that_studies_have() -> None:
    facts = [
        [Fact(Finding("nodule", side=Side.BOTH, region="base")), Fact(Finding("oedema"))],
        [Fact(Finding("nodule")), Fact(Finding("mass", Presence.ABSENT))],
    ]
    assert claims_of(facts) == ("nodule:left", "nodule:right", "oedema")
    assert regions_of(facts) == ("base",)


def test_answers() -> None:
    facts = [
        Fact(Finding("nodule", side=Side.LEFT, region="base", severity="large"), 12.0),
        Fact(Finding("nodule", side=Side.LEFT), 20.0),
        Fact(Finding("oedema", Presence.UNCERTAIN)),
    ]
    found = answers_of(facts, CLAIMS, ("apex", "base"))
    expected = torch.tensor([1.0, 0.0, math.nan, 0.0])
    torch.testing.assert_close(found.there, expected, equal_nan=True)
    assert float(found.size[0]) == pytest.approx(math.log(20.0))
    assert found.region.tolist() == [1, -1, -1, -1]
    assert found.severity.tolist() == [2, -1, -1, -1]


def test_a_side_that_nobody_tells_is_unknown_on_both() -> None:
    found = answers_of([Fact(Finding("nodule"))], CLAIMS, ())
    assert found.there.isnan().tolist() == [True, True, False, False]


def test_a_side_of_what_has_none_is_passed_over() -> None:
    found = answers_of([Fact(Finding("oedema", side=Side.BOTH))], CLAIMS, ())
    assert found.there.tolist() == [0, 0, 1, 0]


def test_a_length_is_no_volume() -> None:
    assert as_fact(Finding("nodule", size_mm=12.0)).size == 12
    assert as_fact(Finding("pleural_effusion", size_mm=30.0)).size is None


def test_simulated_facts_are_read(tmp_path: Path) -> None:
    path = tmp_path / "findings.json"
    row = {"name": "pleural_effusion", "presence": "present", "side": "left", "volume_ml": 300.0}
    row |= {"course": "larger"}
    path.write_text(json.dumps({"findings": [row]}))
    effusion = Finding("pleural_effusion", side=Side.LEFT, course=Course.LARGER)
    assert read_facts(path) == [Fact(effusion, 300.0)]
    path.write_text("{}")
    with pytest.raises(InputError, match="cannot be read as facts"):
        read_facts(path)
