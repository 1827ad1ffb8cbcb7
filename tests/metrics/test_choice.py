"""The right one of two texts: counted with ties as half, and an interval that holds the truth."""

import numpy as np
import pytest

from medgen.errors import InputError
from medgen.metrics.choice import choice


def test_ties_are_half_right() -> None:
    found = choice([1.0, -1.0, 0.0, 2.0])
    assert found.right == 0.625
    assert found.count == 4


def test_wilsons_interval_is_the_published_one() -> None:
    """Newcombe 1998, table I (10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E)."""
    for right, count, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)):
        found = choice([1.0] * right + [-1.0] * (count - right))
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
    assert choice([1.0] * 20).high == 1
    assert choice([1.0] * 20).low == pytest.approx(0.8389, abs=1e-4)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    draws = (np.random.default_rng(0).random((400, 60)) < 0.9).astype(float)
    held = [
        found.low <= 0.9 <= found.high for found in (choice((row - 0.5).tolist()) for row in draws)
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("margins", [[], [0.1, float("nan")]])
def test_nothing_to_choose_is_said(margins: list[float]) -> None:
    with pytest.raises(InputError, match="nothing to choose"):
        choice(margins)
