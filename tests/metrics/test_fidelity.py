"""An MRI is judged after normalisation, so gain and offset do not matter and all else does."""

import math

import numpy as np
import pytest

from medgen.errors import InputError
from medgen.metrics.fidelity import NORMALISATION, fidelity
from tests.oracles import ssim

RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.gamma(3.0, 100.0, (14, 12, 10))
MASK = ((np.indices(TRUTH.shape) - 6) ** 2).sum(0) < 30
PRED = TRUTH + RANDOM.normal(0, 60, TRUTH.shape)


def test_psnr_by_hand() -> None:
    """0 to 1000 in steps of 1: the percentiles are 5 and 995, so one unit is 1/990."""
    truth = np.arange(1001.0).reshape(7, 11, 13)
    pred = truth.copy()
    pred[3, 5, 6] += 99.0
    mask = np.ones(truth.shape, bool)
    scores = fidelity(pred, truth, mask)
    assert scores.psnr == pytest.approx(-10 * math.log10(0.1**2 / 1001), abs=1e-9)


def test_gain_and_offset_do_not_matter() -> None:
    scores = fidelity(TRUTH * 7 + 3, TRUTH, MASK)
    assert scores.psnr > 200
    assert scores.ssim == pytest.approx(1.0, abs=1e-12)


def test_ssim_is_the_slow_oracles() -> None:
    def normalised(signal: np.ndarray) -> np.ndarray:
        low, high = np.percentile(signal[MASK], [0.5, 99.5])
        return np.where(MASK, np.clip((signal - low) / (high - low), 0, 1), 0)

    expected = ssim(normalised(PRED), normalised(TRUTH), MASK)
    assert 0.3 < expected < 0.97
    assert fidelity(PRED, TRUTH, MASK).ssim == pytest.approx(expected, abs=1e-10)


def test_an_inverted_image_is_worse_than_nothing() -> None:
    assert fidelity(-TRUTH, TRUTH, np.ones(TRUTH.shape, bool)).ssim < 0


def test_what_lies_outside_the_mask_is_not_looked_at() -> None:
    assert fidelity(np.where(MASK, PRED, 1e6), TRUTH, MASK) == fidelity(PRED, TRUTH, MASK)


def test_a_stack_of_few_slices_has_an_ssim() -> None:
    assert fidelity(TRUTH[:, :, :3], TRUTH[:, :, :3], MASK[:, :, 4:7]).ssim == pytest.approx(1.0)


def test_a_flat_image_is_refused() -> None:
    with pytest.raises(InputError, match="flat"):
        fidelity(np.zeros(TRUTH.shape), TRUTH, MASK)


def test_the_normalisation_is_said_in_words() -> None:
    assert "0.5 and 99.5 percentiles" in NORMALISATION
