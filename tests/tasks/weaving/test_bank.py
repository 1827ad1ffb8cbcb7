"""Numbers of a region have the answers that can be worked out by hand."""

import numpy as np
import pytest

from medgen.errors import InputError
from medgen.tasks.weaving.bank import bank_of, look_of, noise_ratio, seam_ratio

ROWS, COLUMNS = np.indices((80, 80))
DISC = np.hypot(ROWS - 40, COLUMNS - 40) < 20


def test_a_look_is_mean_deviation_and_contrast() -> None:
    values = np.where(DISC, 3.0, 1.0)
    look = look_of(values, DISC)
    assert (look.mean, look.deviation, look.contrast) == (3.0, 0.0, 2.0)
    with pytest.raises(InputError, match="is empty"):
        look_of(values, np.zeros_like(DISC))


def test_a_bank_counts_in_spreads_of_its_examples() -> None:
    looks = [look_of(np.where(DISC, value, 0.0), DISC) for value in (1.0, 2.0, 3.0)]
    bank = bank_of(looks)
    assert bank.examples == 3
    assert bank.mean.mean == 2.0
    assert bank.spread.mean == 1.0
    assert bank.distance(looks[2]) == {"mean": 1.0, "deviation": 0.0, "contrast": 1.0}


def test_one_example_has_the_spread_of_noise() -> None:
    bank = bank_of([look_of(np.where(DISC, 1.0, 0.0), DISC)])
    assert bank.spread.mean == pytest.approx(0.02)


def test_a_seam_shows_a_step_and_not_a_slope() -> None:
    slope = ROWS.astype(float)
    assert seam_ratio(slope, DISC) == pytest.approx(1.0)
    assert seam_ratio(slope + np.where(DISC, 20.0, 0.0), DISC) > 3


def test_the_grain_inside_is_compared_with_that_around() -> None:
    noise = np.random.default_rng(0).normal(size=DISC.shape)
    assert noise_ratio(noise, DISC) == pytest.approx(1.0, abs=0.15)
    assert noise_ratio(np.where(DISC, 0.5 * noise, noise), DISC) == pytest.approx(0.5, abs=0.1)
    assert noise_ratio(np.where(DISC, noise + 9, noise), DISC) == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("low", [0, 25, 36], ids=["first corner", "middle", "last corner"])
@pytest.mark.parametrize("side", [12, 48], ids=["a part", "all"])
def test_a_part_of_the_image_is_enough(
    low: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).normal(0, 100, (48, 48, 48)).astype(np.float32)
    region = np.zeros(values.shape, bool)
    region[(slice(low, low + side),) * 3] = True
    measures = (look_of, seam_ratio, noise_ratio)
    near = [measure(values, region) for measure in measures]
    monkeypatch.setattr(
        "medgen.tasks.weaving.bank.box_around", lambda region, *_: (slice(None),) * region.ndim
    )
    assert near == [measure(values, region) for measure in measures]
