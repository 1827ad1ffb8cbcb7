"""Folds lie a gyrus apart, and distances from them are millimetres."""

import torch
from torch import Generator

from medgen.phantom.brain import sulci


def test_folds_are_about_a_gyrus_apart() -> None:
    """Along a circle of 70 mm radius, the folds crossed; gyri are 8 to 15 mm wide."""
    apart = []
    for seed in range(6):
        angle = torch.linspace(0, 2 * torch.pi, 4400)  # steps of 0.1 mm
        x, y = 70 * angle.cos(), 70 * angle.sin()
        distance, _ = sulci(x, y, torch.zeros_like(x), Generator().manual_seed(seed))
        inner = (distance[1:-1] < distance[:-2]) & (distance[1:-1] <= distance[2:])
        crossings = int((inner & (distance[1:-1] < 0.15)).sum())
        apart.append(440 / max(1, crossings))
    assert 7 < sum(apart) / len(apart) < 16


def test_distance_grows_by_a_millimetre_a_millimetre() -> None:
    """Close to a fold the value over its gradient is the distance: slopes near 1."""
    step = 0.05
    x = torch.arange(-30, 30, step)
    y, z = torch.full_like(x, 62.0), torch.full_like(x, 10.0)
    distance, _ = sulci(x, y, z, Generator().manual_seed(2))
    slope = distance.diff().abs() / step
    near = (distance[1:] < 0.6) & (distance[1:] > 0.1)
    assert torch.all(slope[near] < 1.3)
