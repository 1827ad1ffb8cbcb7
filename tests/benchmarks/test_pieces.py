"""Pieces hang together by their faces, and are as large as their voxels."""

import numpy as np
import pytest

from benchmarks.pieces import pieces_of


def two_bars() -> np.ndarray:
    """Three voxels in a row, and two that touch them by an edge only."""
    where = np.zeros((5, 5, 5), bool)
    where[0, 0, :3] = True
    where[1, 1, 2:4] = True
    return where


def test_each_piece_has_its_volume() -> None:
    found = pieces_of(two_bars(), 10.0)
    assert found.ml.tolist() == pytest.approx([3, 2])
    np.testing.assert_array_equal(found.where, two_bars())


def test_some_keep_their_numbers() -> None:
    small = (found := pieces_of(two_bars(), 10.0)).only(found.ml < 2.5)
    assert (small.numbers.tolist(), small.ml.tolist()) == ([2], [pytest.approx(2)])
    assert np.argwhere(small.where).tolist() == [[1, 1, 2], [1, 1, 3]]
    assert not found.only(found.ml > 9).where.any()


def test_of_nothing_there_are_none() -> None:
    found = pieces_of(np.zeros((3, 3, 3), bool), 2.0)
    assert (len(found.numbers), found.where.any()) == (0, False)
