"""Distances of sets against closed forms, another library and a slow sum."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from medgen.errors import UsageError
from medgen.metrics.distribution import frechet_distance, halves_interval, kernel_distance


def points(seed: int, count: int = 40, width: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)) * np.arange(1, width + 1)


def test_frechet_is_the_published_formula() -> None:
    one, other = points(0), 2 * points(1) + 1
    a, b = np.cov(one.T), np.cov(other.T)
    root = np.real(sqrtm(a @ b))
    expected = np.square(one.mean(0) - other.mean(0)).sum() + np.trace(a + b - 2 * root)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-6)


def test_frechet_of_a_set_and_itself_moved_is_how_far() -> None:
    one = points(0)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(one, one + 3) == pytest.approx(5 * 9)
    # Twice as wide: the deviations differ by one deviation each.
    assert frechet_distance(one - one.mean(0), 2 * (one - one.mean(0))) == pytest.approx(
        np.trace(np.cov(one.T))
    )


def test_frechet_of_fewer_images_than_features() -> None:
    one = points(2, count=4, width=9)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6)


def test_kernel_is_the_slow_sum() -> None:
    one, other = points(0, 7), points(1, 6)

    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 5 + 1) ** 3)

    within = [
        np.mean([k(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j])
        for a in (one, other)
    ]
    between = np.mean([k(x, y) for x in one for y in other])
    assert kernel_distance(one, other) == pytest.approx(sum(within) - 2 * between)


def test_kernel_of_equal_distributions_is_about_0() -> None:
    found = [kernel_distance(points(2 * k, 60), points(2 * k + 1, 60)) for k in range(40)]
    far = kernel_distance(points(0, 60), points(1, 60) + 2)
    assert abs(np.mean(found)) < 0.05 * far
    assert min(found) < 0 < max(found)


def test_interval_of_halves() -> None:
    one, other = points(0, 200), points(1, 200) + 1
    low, high = halves_interval(kernel_distance, one, other, resamples=50)
    assert low < kernel_distance(one, other) < high
    assert halves_interval(kernel_distance, one, other, resamples=50) == (low, high)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_one_image_is_no_set(distance: object) -> None:
    with pytest.raises(UsageError, match="1 and 40 images"):
        distance(points(0, 1), points(1))  # type: ignore[operator]
