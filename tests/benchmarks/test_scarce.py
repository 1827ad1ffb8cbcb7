"""A classifier of a few views learns what they show; a gain is one of the same studies."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.judge import auc
from benchmarks.rows import Row
from benchmarks.scarce import ARMS, MOVED, PART, STILL, Lesson, ScarceConfig, gained, trained
from benchmarks.scarce_tables import scarce_goals, scarce_table

CONFIG = ScarceConfig(side=8, widths=(8, 8), steps=60, batch=8)


def lesson(count: int, seed: int) -> Lesson:
    """Noise, brighter on the right where the first claim is true; of the second, nobody knows."""
    generator = torch.Generator().manual_seed(seed)
    views = torch.randn(count, 4, 8, 8, 8, generator=generator) * 0.3
    true = torch.arange(count) % 2
    views[:, :, 4:] += true.view(-1, 1, 1, 1, 1)
    return Lesson(views, torch.stack([true.float(), torch.full((count,), torch.nan)], dim=1))


@pytest.mark.parametrize("moved", [STILL, MOVED])
def test_a_classifier_learns_what_is_known(moved: object) -> None:
    network = trained(lesson(12, 0), moved, CONFIG, seed=0)  # type: ignore[arg-type]
    asked = lesson(40, 1)
    with torch.inference_mode():
        said = network(asked.views)[:, 0].numpy()
    assert auc(said, asked.claims[:, 0].numpy() == 1) > 0.95


def test_same_lesson_and_seed_same_classifier() -> None:
    few = replace(CONFIG, steps=8)
    one, again = (trained(lesson(12, 0), MOVED, few, seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], again[name]) for name in one)


def test_lessons_add_up() -> None:
    both = lesson(4, 0) + lesson(6, 1)
    assert (len(both.views), len(both.claims)) == (10, 10)


def test_gains_are_of_the_same_studies() -> None:
    chance = np.random.default_rng(0)
    is_true = np.arange(60) % 3 == 0
    noise = chance.normal(size=60)
    good = is_true + 0.3 * noise
    assert gained(good, good, is_true) == (0, 0)
    low, high = gained(good, noise, is_true)
    assert 0 < low < auc(good, is_true) - auc(noise, is_true) < high < 1
    worse_low, worse_high = gained(noise, good, is_true)
    assert (worse_low, worse_high) == pytest.approx((-high, -low))


def rows(**areas: tuple[float, float, float, float]) -> list[Row]:
    def scores(area: float, usual: float) -> dict[str, float]:
        gain = area - usual
        ends = {"gain low": gain - 0.1, "gain high": gain + 0.1}
        return {"auc": area, "gain": gain, **ends, "n": 90.0, "there": 30.0}

    return [
        Row(PART, claim, "text", "ct", arm, scores(area, of[1]), 0.0, "", "")
        for claim, of in areas.items()
        for arm, area in zip(ARMS, of, strict=True)
    ]


def test_the_goal_is_reached_where_generated_ones_beat_both_at_every_finding() -> None:
    better, worse = (0.6, 0.7, 0.8, 0.9), (0.8, 0.7, 0.75, 0.9)
    (goal,) = scarce_goals(rows(a=better, b=better))
    assert (goal.value, goal.is_reached) == (1, True)
    (goal,) = scarce_goals(rows(a=better, b=worse))
    assert (goal.value, goal.is_reached) == (0.5, False)
    (goal,) = scarce_goals([])
    assert goal.is_reached is None


def test_the_table_says_what_generated_ones_add() -> None:
    table = scarce_table(rows(left_effusion=(0.6, 0.7, 0.8, 0.9)))
    (line,) = table.lines
    assert [each.digits for each in table.columns[3:7]] == [2, 2, 2, 2]
    assert line == [
        *("left effusion", 30, 90, 0.6, 0.7, 0.8, 0.9),
        *("+0.10 [+0.00, +0.20]", "+0.20 [+0.10, +0.30]"),
    ]
