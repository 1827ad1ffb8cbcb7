"""A change is as strong as brings a region nearest to its examples, within limits."""

import numpy as np
import pytest

from medgen.tasks.weaving.bank import Bank, Look, look_of
from medgen.tasks.weaving.strength import MATCHED, strength_for, strength_map

ROWS, COLUMNS = np.indices((60, 60))
DISC = np.hypot(ROWS - 30, COLUMNS - 30) < 10
SCAN = (0.01 * ROWS).astype(np.float32)
BRIGHT = np.where(DISC, np.float32(0.1), np.float32(0))
FLAT = Look(0.02, 1.0, 0.05)  # spreads


def bank(*, mean: float, contrast: float) -> Bank:
    return Bank(Look(mean, 0.0, contrast), FLAT, 5)


def far(strength: float, wanted: Bank) -> float:
    distance = wanted.distance(look_of(SCAN + strength * BRIGHT, DISC))
    return sum(distance[name] ** 2 for name in MATCHED)


@pytest.mark.parametrize(("mean", "contrast"), [(0.5, 0.2), (0.55, 0.1), (0.45, 0.25)])
def test_no_other_strength_is_nearer_to_the_examples(mean: float, contrast: float) -> None:
    wanted = bank(mean=mean, contrast=contrast)
    strength = strength_for(SCAN, SCAN + BRIGHT, DISC, wanted, 9.0)
    assert 1 / 9 < strength < 9
    others = [far(strength + step, wanted) for step in (-0.02, 0.02)]
    assert far(strength, wanted) < min(others)


def test_a_strength_that_meets_both_is_found_exactly() -> None:
    seen = look_of(SCAN + 1.7 * BRIGHT, DISC)
    wanted = bank(mean=seen.mean, contrast=seen.contrast)
    assert strength_for(SCAN, SCAN + BRIGHT, DISC, wanted, 3.0) == pytest.approx(1.7, abs=1e-4)
    assert strength_for(SCAN, SCAN + BRIGHT, DISC, wanted, 1.5) == 1.5
    assert strength_for(SCAN, SCAN + BRIGHT, DISC, wanted, 1.0) == 1.0


def test_what_hardly_shows_or_leads_away_is_left_as_it_is() -> None:
    wanted = bank(mean=0.5, contrast=0.3)
    assert strength_for(SCAN, SCAN + 0.01 * BRIGHT, DISC, wanted, 3.0) == 1.0
    assert strength_for(SCAN, SCAN - BRIGHT, DISC, wanted, 3.0) == 1.0


def test_a_strength_is_heard_in_its_region_and_fades_around_it() -> None:
    left, right = COLUMNS < 20, COLUMNS >= 40
    found = strength_map([left, right], [2.0, 0.5], 15.0, (1.0, 1.0))
    assert (found[left] == 2).all()
    assert (found[right] == 0.5).all()
    between = found[0, 20:40]
    assert (np.diff(between) <= 0).all()  # both are heard between them
    assert (strength_map([left], [2.0], 5.0, (1.0, 1.0))[:, 25:] == 1).all()
