"""Errors are counted where the truth says air, soft tissue or bone."""

import math

import numpy as np
import pytest

from medgen.metrics.tissue import TissueScores, dice, tissue_scores

TRUTH = np.array([-1000.0, -201, -200, 0, 250, 251, 1000, 300]).reshape(2, 2, 2)
PRED = np.array([-990.0, -221, -195, 260, 250, 251, 900, 200]).reshape(2, 2, 2)


def test_by_hand() -> None:
    scores = tissue_scores(PRED, TRUTH, np.ones((2, 2, 2), bool))
    assert scores == TissueScores(
        mae_air=(10 + 20) / 2,
        mae_soft=(5 + 260 + 0) / 3,
        mae_bone=(0 + 100 + 100) / 3,
        dice_bone=2 * 2 / (3 + 3),
    )


def test_only_the_mask_counts() -> None:
    mask = TRUTH > 900
    scores = tissue_scores(PRED, TRUTH, mask)
    assert (scores.mae_bone, scores.dice_bone) == (100.0, 1.0)
    assert math.isnan(scores.mae_air)
    assert math.isnan(scores.mae_soft)


@pytest.mark.parametrize(
    ("one", "other", "expected"), [("110", "110", 1.0), ("100", "010", 0.0), ("110", "010", 2 / 3)]
)
def test_dice(one: str, other: str, expected: float) -> None:
    masks = [np.array([letter == "1" for letter in word]) for word in (one, other)]
    assert dice(*masks) == pytest.approx(expected)


def test_dice_of_nothing_is_nan() -> None:
    assert math.isnan(dice(np.zeros(3, bool), np.zeros(3, bool)))
