"""A fitted sigma covers what it was asked to, on new voxels too, and finds known parameters."""

import numpy as np
import pytest

from medgen.errors import InputError
from medgen.metrics.calibration import Calibration, coverage, fit_calibration


def draw(seed: int, scale: float, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """Errors that are Gaussian with a known sigma, and the spread it came from."""
    random = np.random.default_rng(seed)
    spread = random.gamma(2.0, 30.0, (50, 40, 50))
    return random.normal(0, np.hypot(scale * spread, floor)), spread


def test_coverage_by_hand() -> None:
    error, sigma = np.array([0.0, 2.0, -2.0, 2.1]), np.ones(4)
    assert coverage(error, sigma) == 0.75


def test_sigma_by_hand() -> None:
    sigma = Calibration(scale=2.0, floor=5.0).sigma(np.array([0.0, 6.0]))
    assert sigma.tolist() == [5.0, 13.0]


@pytest.mark.parametrize("target", [0.9, 0.945])
def test_the_coverage_is_the_target(target: float) -> None:
    error, spread = draw(0, 1.7, 20.0)
    calibration = fit_calibration(error, spread, target=target)
    assert coverage(error, calibration.sigma(spread)) == pytest.approx(target, abs=1e-4)
    error, spread = draw(1, 1.7, 20.0)
    assert coverage(error, calibration.sigma(spread)) == pytest.approx(target, abs=0.005)


@pytest.mark.parametrize(("scale", "floor"), [(1.7, 20.0), (1.0, 0.0), (0.0, 50.0)])
def test_known_parameters_are_found(scale: float, floor: float) -> None:
    two_sigmas = 0.9544997  # of a Gaussian, so sigma itself is the answer
    calibration = fit_calibration(*draw(2, scale, floor), target=two_sigmas)
    spreads = np.linspace(5, 250, 50)
    assert np.allclose(calibration.sigma(spreads), np.hypot(scale * spreads, floor), rtol=0.05)


def test_few_and_many_spread_voxels_are_covered_alike() -> None:
    error, spread = draw(3, 1.7, 20.0)
    sigma = fit_calibration(error, spread).sigma(spread)
    for part in (spread < 30, spread > 120):
        assert coverage(error[part], sigma[part]) == pytest.approx(0.945, abs=0.01)


def test_samples_that_all_agree_leave_the_floor() -> None:
    error = np.random.default_rng(0).normal(0, 10, 10_000)
    calibration = fit_calibration(error, np.zeros(10_000))
    assert coverage(error, calibration.sigma(np.zeros(10_000))) == pytest.approx(0.945, abs=1e-3)


def test_too_little_to_learn_from_is_refused() -> None:
    with pytest.raises(InputError, match="too few"):
        fit_calibration(np.ones(10), np.ones(10))
    with pytest.raises(InputError, match="no error"):
        fit_calibration(np.zeros(1000), np.ones(1000))
