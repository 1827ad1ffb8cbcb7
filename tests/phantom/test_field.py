"""Random fields are smooth, unit at their nodes, and belong to the study they are drawn for."""

import pytest
import torch
from torch import Generator

from medgen.phantom.field import chance, generator_of, normal, smooth_field, uniform


def test_a_field_changes_slowly() -> None:
    field = smooth_field((40, 40, 40), 20, Generator().manual_seed(0))
    assert field.diff(dim=1).abs().max() < 0.35


def test_nodes_are_unit_gaussian() -> None:
    field = smooth_field((41, 41, 41), 2, Generator().manual_seed(0))
    nodes = field[0, ::2, ::2, ::2]
    assert nodes.mean().item() == pytest.approx(0, abs=0.05)
    assert nodes.std().item() == pytest.approx(1, abs=0.05)


def test_channels_are_independent() -> None:
    field = smooth_field((30, 30, 30), 3, Generator().manual_seed(1), channels=2).flatten(1)
    assert abs(torch.corrcoef(field)[0, 1].item()) < 0.1


def test_draws_stay_in_their_range() -> None:
    generator = Generator().manual_seed(0)
    draws = [uniform(2, 3, generator) for _ in range(200)]
    assert min(draws) >= 2
    assert max(draws) <= 3
    assert not chance(0, generator)
    assert chance(1.01, generator)
    assert normal(generator) != normal(generator)


def test_parts_of_studies_are_strangers_and_repeatable() -> None:
    keys = [(0, 0, "ct"), (0, 0, "t1"), (0, 1, "ct"), (1, 0, "ct"), (0, 10, "ct")]
    first = [normal(generator_of(seed, index, name)) for seed, index, name in keys]
    again = [normal(generator_of(seed, index, name)) for seed, index, name in keys]
    assert first == again
    assert len(set(first)) == len(keys)
