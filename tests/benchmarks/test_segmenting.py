"""Segmenters learn what they are given, and what woven cases add is measured chest by chest."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.rows import Row, Store
from benchmarks.segmenter import Case, SegmenterConfig, case_of, dice, trained
from benchmarks.segmenting import FEW, PART, PASTED, WOVEN, segmentings
from benchmarks.segmenting_tables import segmenting_goals, segmenting_table

SMALL = SegmenterConfig(side=16, widths=(8, 8), steps=60, batch=4, learning_rate=2e-2)


class Bright(nn.Module):
    """Finds what is bright."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image


def square(row: int, column: int) -> Case:
    """A bright square on a dark ground, and its mask."""
    mask = torch.zeros(1, 16, 16)
    mask[0, row : row + 6, column : column + 6] = 1
    return Case(2 * mask - 1, mask)


def test_dice_by_hand() -> None:
    """Half of what is bright is the finding: 2 * 18 / (36 + 18)."""
    whole = square(4, 4)
    half = whole.mask.clone()
    half[0, 7:] = 0
    assert dice(Bright(), whole) == 1
    assert dice(Bright(), Case(whole.image, half)) == pytest.approx(2 / 3)
    assert dice(Bright(), Case(whole.image, 1 - whole.mask)) == 0


def test_a_segmenter_learns_and_a_seed_is_a_segmenter() -> None:
    cases = [square(row, column) for row in (2, 8) for column in (2, 8)]
    one, same = trained(cases, SMALL), trained(cases, SMALL)
    assert dice(one, square(5, 5)) > 0.8
    assert torch.equal(one(cases[0].image[None]), same(cases[0].image[None]))


def test_a_case_is_the_radiograph_and_the_region_on_the_same_pixels() -> None:
    grey = np.zeros((32, 24), np.int16)
    grey[8:16, 4:12] = 1000
    case = case_of(grey, grey > 0, SMALL)
    assert case.image.shape == case.mask.shape == (1, 16, 16)
    assert torch.equal(case.image > 0, case.mask > 0)
    assert case.mask.sum() == 16


def rows(arm: str, *scores: float) -> list[Row]:
    return [
        Row(PART, f"s{at}", "", "xray", arm, {"dice": one, "cases": 9.0}, 5.0, "", "")
        for at, one in enumerate(scores)
    ]


def test_a_gain_is_of_the_same_chests() -> None:
    """Each chest gains 0.1: nothing is left to chance."""
    found = rows(FEW, 0.1, 0.5, 0.9) + rows(WOVEN, 0.2, 0.6, 1.0) + rows(PASTED, 0.1, 0.2, 0.3)
    lines = segmenting_table(found).lines
    assert [line[0] for line in lines] == [FEW, WOVEN, PASTED]
    assert lines[0][2] is None
    assert (lines[1][2]["low"], lines[1][2]["high"]) == pytest.approx((0.1, 0.1))
    (goal,) = segmenting_goals(found)
    assert goal.is_reached
    assert not segmenting_goals(rows(FEW, 0.1, 0.5) + rows(WOVEN, 0.1, 0.4))[0].is_reached


def test_what_was_not_measured_is_open(tmp_path: Path) -> None:
    assert segmenting_table([]).lines == []
    assert segmenting_goals([])[0].is_reached is None
    assert not list(segmentings("base", tmp_path, Store(tmp_path)))
    assert not list(segmentings("flows", tmp_path, Store(tmp_path)))
