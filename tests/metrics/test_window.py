"""Moments are those of numpy, and the box around the mask changes nothing."""

import math

import numpy as np
import pytest

from medgen.metrics.window import luminance, mean_inside, moments

RANDOM = np.random.default_rng(0)
PRED, TRUTH = RANDOM.normal(100, 30, (2, 9, 8, 10))


def test_moments_are_numpys() -> None:
    found = moments(PRED, TRUTH)
    cube = (slice(1, 8), slice(0, 7), slice(3, 10))
    (variance_pred, covariance), (_, variance_truth) = np.cov(
        PRED[cube].ravel(), TRUTH[cube].ravel()
    )
    assert found.mean_pred.shape == (3, 2, 4)
    assert found.mean_pred[1, 0, 3] == pytest.approx(PRED[cube].mean())
    assert found.mean_truth[1, 0, 3] == pytest.approx(TRUTH[cube].mean())
    assert found.variance_pred[1, 0, 3] == pytest.approx(variance_pred)
    assert found.variance_truth[1, 0, 3] == pytest.approx(variance_truth)
    assert found.covariance[1, 0, 3] == pytest.approx(covariance)


def test_only_centres_in_the_mask_count() -> None:
    mask = np.zeros(PRED.shape, bool)
    mask[4, 3, 5] = mask[5, 4, 6] = mask[0, 0, 0] = True  # the last has no whole cube
    everywhere = luminance(moments(PRED, TRUTH), 1.0)
    found = mean_inside(PRED, TRUTH, mask, lambda sums: luminance(sums, 1.0))
    assert found == pytest.approx((everywhere[1, 0, 2] + everywhere[2, 1, 3]) / 2)


def test_no_centre_in_the_mask_is_nan() -> None:
    mask = np.zeros(PRED.shape, bool)
    mask[0] = True
    assert math.isnan(mean_inside(PRED, TRUTH, mask, lambda sums: luminance(sums, 1.0)))
