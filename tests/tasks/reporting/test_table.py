"""The table: probabilities and thresholds, what changed since the prior, where a claim looks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medgen.encoders.finder import Found
from medgen.finding import Course, Finding, Presence, Side
from medgen.modality import Kind
from medgen.tasks.facts import Fact
from medgen.tasks.finder.calibrate import calibrated, loudness
from medgen.tasks.finder.model import Calibration, shown_together
from medgen.tasks.reporting.table import Row, box_of, compared, facts_in, table_of, threshold_of

CLAIMS = ("mass:left", "oedema", "nodule:right")
CALIBRATION = Calibration(
    scale=(1.0, 1.0, 2.0),
    shift=(0.0, 0.0, 0.0),
    invented=(0.01, 0.1, 0.4),
    threshold=(0.8, 0.6, 0.2),
    sized=("mass:left",),
    graded=("oedema",),
)


def found(*odds: float) -> Found:
    claims = len(CLAIMS)
    severity = torch.tensor([0.0, 2.0, 1.0]).expand(1, claims, 3)
    size = torch.full((1, claims), 3.0)
    nothing = torch.zeros(1, claims, 0)
    return Found(torch.tensor([odds]), size, severity, *[nothing] * 3, size)


def test_the_threshold_follows_the_operating_point() -> None:
    assert threshold_of(CALIBRATION, 0.1) == pytest.approx(0.6)
    assert threshold_of(CALIBRATION, 10**-1.5) == pytest.approx(0.7)


def test_if_nobody_says_only_what_is_likelier_than_not_is_told() -> None:
    strict = replace(CALIBRATION, invented=(0.01, 0.1), threshold=(0.9, 0.7))
    assert threshold_of(strict) == threshold_of(strict, 0.05) > 0.7
    bold = replace(CALIBRATION, invented=(0.01, 0.1), threshold=(0.3, 0.1))
    assert threshold_of(bold, 0.05) < 0.3
    assert threshold_of(bold) == 0.5


def test_what_is_half_as_likely_is_uncertain_and_the_surest_comes_first() -> None:
    rows = table_of(found(0.0, 3.0, -3.0), CLAIMS, (), CALIBRATION, 0.6)
    assert [row.claim for row in rows] == ["oedema", "mass:left", "nodule:right"]
    told = [row.finding.presence for row in rows]
    assert told == [Presence.PRESENT, Presence.UNCERTAIN, Presence.ABSENT]
    assert [row.finding.severity for row in rows] == ["moderate", None, None]
    assert rows[1].size == 20.0
    assert rows[1].finding.size_mm is None  # nobody measures what may not be there
    assert rows[2].score == pytest.approx(1 / (1 + np.exp(6)))


def test_what_is_missed_more_often_than_not_is_not_denied_but_told_where_it_is_seen() -> None:
    blind = replace(CALIBRATION, median=(0.5, 0.9, 0.6))
    rows = {one.claim: one for one in table_of(found(-9.0, -9.0, -9.0), CLAIMS, (), blind, 0.6)}
    assert [rows[claim].is_assessed for claim in CLAIMS] == [False, True, True]
    assert rows["mass:left"].as_json()["presence"] == "not assessed"
    assert rows["oedema"].as_json()["presence"] == "absent"
    [seen] = [
        one for one in table_of(found(9.0, -9.0, -9.0), CLAIMS, (), blind, 0.6) if one.score > 0.9
    ]
    assert (seen.is_assessed, seen.finding.presence) == (True, Presence.PRESENT)


def test_what_is_not_assessed_is_not_compared_now_or_then() -> None:
    unknown = replace(row(Presence.ABSENT), is_assessed=False)
    assert compared([unknown], facts_in([row(Presence.PRESENT)])) == [unknown]
    assert compared([row(Presence.PRESENT)], facts_in([unknown])) == [row(Presence.PRESENT)]


def row(presence: Presence, size: float | None = None) -> Row:
    return Row("mass:left", Finding("mass", presence, side=Side.LEFT, size_mm=size), 0.9, size)


@pytest.mark.parametrize(
    ("now", "before", "course"),
    [
        (row(Presence.PRESENT, 30.0), None, Course.NEW),
        (row(Presence.PRESENT, 30.0), 29.0, Course.UNCHANGED),
        (row(Presence.PRESENT, 30.0), 20.0, Course.LARGER),
        (row(Presence.ABSENT), 20.0, Course.GONE),
        (row(Presence.ABSENT), None, None),
        (row(Presence.UNCERTAIN), 20.0, None),
    ],
)
def test_the_course_since_the_prior(now: Row, before: float | None, course: Course | None) -> None:
    past = [Fact(Finding("mass", side=Side.LEFT, size_mm=before), before)] if before else []
    assert compared([now], past)[0].finding.course is course


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_past_ones_the_surest_and_largest_counts(order: int) -> None:
    both = [Fact(Finding("mass", side=Side.LEFT), size) for size in (30.0, 4.0)]
    gone = Fact(Finding("mass", Presence.ABSENT, side=Side.LEFT))
    now = row(Presence.PRESENT, 30.0)
    for past in (both, [both[0], gone]):
        assert compared([now], past[::order])[0].finding.course is Course.UNCHANGED


def test_a_past_side_of_what_has_none_is_passed_over() -> None:
    now = Row("oedema", Finding("oedema"), 0.9)
    past = [Fact(Finding("oedema", side=Side.BOTH))]
    assert compared([now], past)[0].finding.course is Course.UNCHANGED


def test_the_box_holds_half_of_the_map() -> None:
    cells = np.zeros((4, 4))
    cells[1, 2], cells[3, 0] = 0.8, 0.2
    assert box_of(cells) == ((0.25, 0.5), (0.5, 0.75))


def test_calibration_keeps_normal_studies_normal_and_orders_its_points() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = (torch.rand(400, 2, generator=generator) < 0.3).float()
    odds = 3 * (2 * truth - 1) + 2 * torch.randn(400, 2, generator=generator)
    found = calibrated(odds, truth)
    assert list(found.threshold) == sorted(found.threshold, reverse=True)
    chances = (odds * torch.tensor(found.scale) + torch.tensor(found.shift)).sigmoid()
    normal = (truth == 0).all(1)
    invented = (chances[normal] >= threshold_of(found, 0.05)).any(1).float().mean()
    assert float(invented) <= 0.06
    assert float((chances.mean(0) - truth.mean(0)).abs().max()) < 0.03
    there = truth == 1
    given = [sorted(chances[there[:, at], at].tolist()) for at in range(2)]
    half = [each[(len(each) - 1) // 2] for each in given]
    assert found.median == pytest.approx(half, abs=1e-3)
    assert calibrated(odds, truth * torch.tensor([1, 0])).median[1] == 0  # nobody has seen one


def test_of_few_studies_with_a_finding_the_median_is_the_usual_one() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.zeros(160, 1)
    truth[::4] = 1  # but of CT, the second half, nearly none
    truth[80:] = 0
    truth[90] = 1
    odds = 3 * (2 * truth - 1) + torch.randn(160, 1, generator=generator)
    found = calibrated(odds, truth, ["xray"] * 80 + ["ct"] * 80)
    assert found.apart["ct"].median == pytest.approx(found.median, abs=1e-3)
    assert found.apart["xray"].median[0] > 0.9


def test_what_spots_say_counts_where_the_other_odds_are_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = (torch.rand(600, 2, generator=generator) < 0.3).float()
    noise = torch.randn(600, 2, generator=generator)
    said = torch.nn.functional.softplus(4 * truth - 2 + torch.randn(600, 2, generator=generator))
    own = torch.stack([2 * noise[:, 0], 4 * truth[:, 1] - 2 + noise[:, 1]], 1)
    said[:, 1] = said[:, 1].roll(1)  # of the second claim they say nothing
    noisy, sure = loudness(own, said, truth).tolist()
    assert noisy > 3 > 0.3 > sure
    nothing = loudness(own, torch.zeros_like(own), truth)
    assert nothing.tolist() == [1, 1]  # as it was: nobody has said anything


def test_a_kind_is_not_pulled_to_what_another_group_is_worth() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = (torch.rand(600, 1, generator=generator) < 0.3).float()
    shown = ["xray"] * 60 + ["ct"] * 540
    worth = torch.tensor([1.0] * 60 + [0.05] * 540)[:, None]  # odds of CTs are 20 times too loud
    odds = (2 * (2 * truth - 1) + torch.randn(600, 1, generator=generator)) / worth
    one, other = calibrated(odds, truth, shown), calibrated(odds, truth, shown, shown)
    assert other.apart["xray"].scale[0] > 2 * one.apart["xray"].scale[0]
    assert other.apart["ct"].scale[0] < 0.2


def test_answers_are_worth_what_the_images_they_rest_on_are() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = (torch.rand(600, 1, generator=generator) < 0.3).float()
    noise = torch.randn(600, 1, generator=generator)
    shown = ["xray"] * 300 + ["ct"] * 300
    sharp = torch.cat([torch.full((300, 1), 0.2), torch.full((300, 1), 2.0)])
    found = calibrated(sharp * (2 * truth - 1) + noise, truth, shown)
    xray, ct = (found.of([Kind.parse(word)]) for word in ("xray", "ct"))
    assert xray.scale[0] < found.scale[0] < ct.scale[0]
    for worth, rows in ((xray, slice(300)), (ct, slice(300, None))):
        odds = (sharp * (2 * truth - 1) + noise)[rows] * worth.scale[0] + worth.shift[0]
        assert float(odds.sigmoid().mean() - truth[rows].mean()) == pytest.approx(0, abs=0.01)
    both = [Kind.parse("ct"), Kind.parse("xray")]
    assert found.of(both) == found  # of these together nothing is known
    few = calibrated(sharp * truth, truth, ["xray"] * 590 + ["ct"] * 10)
    assert set(few.apart) == {"xray"}
    assert Kind.parse("mri:t1").plain == Kind.parse("mri")
    assert shown_together([both[1], both[0], Kind.parse("ct")]) == "ct+xray"
