"""An interval has the mean of its patients, is the same twice, and covers as often as it says."""

import math

import numpy as np
import pytest

from medgen.errors import UsageError
from medgen.metrics.bootstrap import interval, paired_interval

VALUES = [1.0, 2.7, 7.4, 20.1, 54.6]


def test_mean_and_sd_by_hand() -> None:
    found = interval([1.0, 2.0, 6.0])
    assert found.mean == pytest.approx(3.0)
    assert found.sd == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
    assert found.count == 3


def test_two_patients_have_an_exact_interval() -> None:
    """The mean of a resample is 0, 1/2 or 1 with chances 1/4, 1/2, 1/4; so the ends are 0 and 1."""
    found = interval([0.0, 1.0])
    assert (found.low, found.high) == (0.0, 1.0)


def test_equal_patients_leave_no_doubt() -> None:
    found = interval([5.0] * 4)
    assert (found.mean, found.sd, found.low, found.high) == (5.0, 0.0, 5.0, 5.0)


def test_the_same_values_give_the_same_interval() -> None:
    assert interval(VALUES) == interval(VALUES)
    assert interval(VALUES, resamples=50) != interval(VALUES, resamples=50, seed=1)


def test_draws_are_the_same_however_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values = list(np.random.default_rng(1).normal(size=30))
    whole = interval(values, resamples=1000)
    for number in (1, 100, 1000):
        monkeypatch.setattr("medgen.metrics.bootstrap.AT_ONCE", number)
        assert interval(values, resamples=1000) == whole


def test_about_95_percent_of_intervals_hold_the_true_mean() -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        found = interval(random.normal(10, 2, 40).tolist(), resamples=500)
        held += found.low <= 10 <= found.high
    assert 0.90 <= held / 300 <= 0.98


def test_a_patient_without_a_value_is_left_out() -> None:
    assert interval([1.0, math.nan, 3.0]) == interval([1.0, 3.0])


@pytest.mark.parametrize("values", [[], [math.nan], [7.0], [7.0, math.inf]])
def test_too_little_for_an_interval_has_none(values: list[float]) -> None:
    found = interval(values)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_pairing_sees_what_patients_hide() -> None:
    theirs = [50.0, 100.0, 150.0, 200.0, 250.0, 300.0]
    ours = [value - change for value, change in zip(theirs, [4, 5, 6, 4, 5, 6], strict=True)]
    difference = paired_interval(ours, theirs)
    assert difference.mean == pytest.approx(-5.0)
    assert -6 < difference.low < difference.high < -4


def test_unequal_lists_cannot_be_paired() -> None:
    with pytest.raises(UsageError, match="cannot be paired"):
        paired_interval([1.0], [1.0, 2.0])
