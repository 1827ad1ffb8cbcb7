"""Copies are caught, and images of the same kind are not taken for copies."""

import numpy as np
import pytest

from medgen.errors import UsageError
from medgen.metrics.copies import as_points, find_copies, nearest, wilson

DRAW = np.random.default_rng(0)


def pictures(count: int) -> np.ndarray:
    return DRAW.normal(size=(count, 8, 8))


def test_new_images_are_not_copies() -> None:
    training, held_out, made = (as_points(pictures(n)) for n in (300, 200, 200))
    found = find_copies(made, training, held_out)
    assert found.expected == pytest.approx(0.05, abs=0.01)
    assert not found.is_copying
    assert found.low <= found.share <= found.high


def test_copies_are_caught_in_any_brightness() -> None:
    shown = pictures(300)
    training, held_out = as_points(shown), as_points(pictures(200))
    made = as_points(3 * shown[:100] + 5 + 0.2 * pictures(100))
    found = find_copies(made, training, held_out)
    assert found.is_copying
    assert found.share > 0.95


def test_a_few_copies_among_many_are_counted() -> None:
    shown = pictures(300)
    made = np.concatenate([shown[:60], pictures(140)])
    found = find_copies(as_points(made), as_points(shown), as_points(pictures(200)))
    assert found.is_copying
    assert (found.nearest[:60] < 1e-6).all()
    assert 0.3 < found.share < 0.4


def test_nearest_is_the_slow_search() -> None:
    one, other = as_points(pictures(5)), as_points(pictures(7))
    slow = [min(np.linalg.norm(x - y) for y in other) for x in one]
    np.testing.assert_allclose(nearest(one, other), slow)


def test_a_share_of_everything_and_of_nothing() -> None:
    assert wilson(10, 10)[1] == pytest.approx(1)
    assert wilson(0, 10)[0] == 0


def test_an_empty_set_is_refused() -> None:
    some = as_points(pictures(3))
    with pytest.raises(UsageError, match="are all needed"):
        find_copies(some[:0], some, some)
