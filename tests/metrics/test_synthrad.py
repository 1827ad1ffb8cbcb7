"""MAE, PSNR and MS-SSIM are the numbers that SynthRAD2025 would give."""

import math

import numpy as np
import pytest

from medgen.metrics.synthrad import mae, ms_ssim, psnr, synthrad
from tests.oracles import synthrad_ms_ssim

TRUTH = np.zeros((3, 3, 3))
TRUTH[0] = -1000.0
TRUTH[2, 2, 2] = 4000.0
PRED = TRUTH.copy()
PRED[0, 0, 0] = -1100.0  # 100 off; 24 off once clipped at -1024
PRED[1, 1, 1] = 50.0
PRED[2, 2, 2] = 3000.0  # 1000 off; 71 off once clipped at 3071
PRED[1, 0, 0] = 9999.0  # outside the mask
MASK = np.ones((3, 3, 3), bool)
MASK[1, 0, 0] = False


def head(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two volumes that share some structure, and a mask about the middle."""
    random = np.random.default_rng(seed)
    grid = np.indices((20, 15, 23))
    truth = 400 * np.sin(grid[0] / 2) + 300 * np.cos(grid[1] + grid[2] / 3) - 100
    pred = truth * 0.5 + 300 + random.normal(0, 600, truth.shape)
    mask = ((grid - np.array([10, 7, 11])[:, None, None, None]) ** 2).sum(0) < 25
    return pred, truth, mask


def test_mae_by_hand() -> None:
    assert mae(PRED, TRUTH, MASK) == pytest.approx((100 + 50 + 1000) / 26)


def test_psnr_by_hand() -> None:
    squared = (24**2 + 50**2 + 71**2) / 26
    assert psnr(PRED, TRUTH, MASK) == pytest.approx(10 * math.log10(4095**2 / squared))


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.uint16])
def test_integers_do_not_wrap(dtype: type) -> None:
    pred, truth = np.array([0, 3000], dtype), np.array([3000, 0], dtype)
    shape, mask = (1, 1, 2), np.ones((1, 1, 2), bool)
    assert mae(pred.reshape(shape), truth.reshape(shape), mask) == 3000


def test_equals_are_perfect() -> None:
    _, truth, mask = head(0)
    scores = synthrad(truth, truth, mask)
    assert (scores.mae, scores.psnr) == (0.0, math.inf)
    assert scores.ms_ssim == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("seed", [1, 2])
def test_ms_ssim_is_the_slow_oracles(seed: int) -> None:
    pred, truth, mask = head(seed)
    expected = synthrad_ms_ssim(pred, truth, mask)
    assert 0.2 < expected < 0.95
    assert ms_ssim(pred, truth, mask) == pytest.approx(expected, abs=1e-9)


def test_a_large_volume_is_not_padded() -> None:
    pred, truth, _ = (np.tile(part, (5, 7, 5))[:98] for part in head(3))
    mask = np.random.default_rng(0).random(truth.shape) < 0.0002
    mask[45:52, 44:53, 46:50] = True  # holds the centre of the coarsest scale, voxel 48
    assert ms_ssim(pred, truth, mask) == pytest.approx(
        synthrad_ms_ssim(pred, truth, mask), abs=1e-9
    )


def test_luminance_counts_at_every_scale() -> None:
    """The quirk: a pure offset costs more than textbook MS-SSIM, which looks once, would say."""
    truth, mask = np.full((97, 97, 97), -500.0), np.ones((97, 97, 97), bool)
    x, y, c1 = 524.0, 624.0, 40.95**2
    once = ((2 * x * y + c1) / (x * x + y * y + c1)) ** 0.1333
    assert ms_ssim(truth + 100, truth, mask) < once


def test_what_lies_outside_the_mask_is_not_looked_at() -> None:
    pred, truth, mask = head(4)
    assert synthrad(np.where(mask, pred, 7.0), truth, mask) == synthrad(pred, truth, mask)


def test_a_mask_without_a_coarse_centre_has_no_ms_ssim() -> None:
    truth = np.random.default_rng(0).normal(0, 100, (120, 120, 120))
    mask = np.zeros(truth.shape, bool)
    mask[5:12, 5:12, 5:12] = True
    assert math.isnan(ms_ssim(truth, truth, mask))
