"""Findings that reports share are right, the others are invented or missed."""

import math

import pytest

from medgen.metrics.finding_scores import finding_scores
from medgen.metrics.phrases import load_phrases

PHRASES = load_phrases()
TRUTH = ["Left effusion. Nodule in the right lung.", "No effusion. Cardiomegaly.", "Normal study."]


def test_counts_by_hand() -> None:
    written = ["Right effusion. No nodule.", "Cardiomegaly. Pneumothorax.", "Possible fracture."]
    found = finding_scores(written, TRUTH, PHRASES)
    assert (found.right, found.invented, found.missed) == (2, 1, 1)
    assert (found.precision, found.recall) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert found.f1 == pytest.approx(2 / 3)
    assert found.by_name == {
        "pleural_effusion": 1,
        "cardiomegaly": 1,
        "nodule": 0,
        "pneumothorax": 0,
    }
    assert found.macro_f1 == 0.5
    assert (found.sided, found.sides_right, found.side_accuracy) == (1, 0, 0)


def test_the_truth_is_right() -> None:
    found = finding_scores(TRUTH, TRUTH, PHRASES)
    assert (found.f1, found.macro_f1, found.side_accuracy) == (1, 1, 1)


def test_both_sides_are_two_sides() -> None:
    found = finding_scores(["Left effusion. Right effusion."], ["Bilateral effusions."], PHRASES)
    assert found.side_accuracy == 1
    assert finding_scores(["Left effusion."], ["Bilateral effusions."], PHRASES).side_accuracy == 0


def test_of_nothing_nothing_is_said() -> None:
    found = finding_scores(["Normal."], ["Normal."], PHRASES)
    assert math.isnan(found.f1)
    assert found.by_name == {}
