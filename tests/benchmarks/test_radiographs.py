"""What tells radiographs apart is measured: 0.5 for twins, 1 for strangers."""

import numpy as np
import pytest

from benchmarks.radiographs import (
    BINS,
    SIDE,
    Radiographs,
    auc_of_telling,
    histogram,
    inside_band,
    spectrum,
    squared,
)


def blurry(seed: int, width: int) -> np.ndarray:
    """Noise whose grain is `width` pixels."""
    noise = np.random.default_rng(seed).normal(size=(SIDE // width, SIDE // width))
    return squared(np.kron(noise, np.ones((width, width))))


def some(first: int, width: int) -> Radiographs:
    pictures = [blurry(seed, width) for seed in range(first, first + 30)]
    return Radiographs(pictures, [str(first + at) for at in range(30)])


def test_a_square_has_its_middle_and_its_range() -> None:
    wide = np.zeros((100, 300))
    wide[:, 100:200] = np.linspace(0, 4095, 100)
    found = squared(wide)
    assert found.shape == (SIDE, SIDE)
    assert (found[:, 0].max(), found[:, -1].min()) == (0, 1)
    assert (np.diff(found[0]) >= 0).all()


def test_a_histogram_sums_to_one() -> None:
    assert histogram(blurry(0, 4)).sum() == pytest.approx(1)
    assert histogram(np.full((SIDE, SIDE), 0.5))[BINS // 2] == 1


@pytest.mark.parametrize("cycles", [16, 40, 100])
def test_the_spectrum_of_a_wave_peaks_at_its_frequency(cycles: int) -> None:
    wave = np.sin(2 * np.pi * cycles * np.arange(SIDE) / SIDE) + np.zeros((SIDE, 1))
    assert spectrum(wave).argmax() == int(2 * BINS * cycles / SIDE)


def test_nine_in_ten_lie_in_their_own_band() -> None:
    features = np.random.default_rng(0).normal(size=(2000, 8))
    assert inside_band(features, features) == pytest.approx(0.9, abs=0.01)
    assert inside_band(features + 10, features) == 0


def test_twins_cannot_be_told_and_strangers_can() -> None:
    assert auc_of_telling(some(0, 2), some(100, 8)) == 1
    assert 0.25 < auc_of_telling(some(0, 4), some(100, 4)) < 0.75
