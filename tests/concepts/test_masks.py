"""Whatever masks overlap, the shares of all parts sum to one, and no object is lost."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medgen.concepts.masks import cells_of, shared_out


def row(word: str) -> torch.Tensor:
    """`..xx` as a mask."""
    return torch.tensor([letter == "x" for letter in word])


def shares(*words: tuple[str, str]) -> list[list[float]]:
    """Of concepts that are given as dense and wide masks; the background is last."""
    dense, wide = (torch.stack([row(pair[at]) for pair in words]) for at in (0, 1))
    return shared_out(dense, wide).tolist()


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 4), st.integers(0, 10_000))
def test_shares_sum_to_one(concepts: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    dense = torch.rand(concepts, 5, 6, generator=generator) > 0.6
    wide = dense | (torch.rand(dense.shape, generator=generator) > 0.5)
    found = shared_out(dense, wide)
    assert found.min() >= 0
    torch.testing.assert_close(found.sum(0), torch.ones(5, 6))


def test_one_concept_has_its_wide_mask() -> None:
    assert shares((".x..", "xxx.")) == [[1, 1, 1, 0], [0, 0, 0, 1]]


def test_where_wide_masks_meet_the_dense_one_counts() -> None:
    assert shares(("x...", "xxx."), ("..x.", ".xxx")) == [
        [1, 0.5, 0, 0],
        [0, 0.5, 1, 1],
        [0, 0, 0, 0],
    ]


def test_dense_masks_share_alike() -> None:
    assert shares(("xx..", "xx.."), (".xx.", ".xx.")) == [
        [1, 0.5, 0, 0],
        [0, 0.5, 1, 0],
        [0, 0, 0, 1],
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_a_small_object_on_a_large_one_is_not_lost(order: int) -> None:
    pairs = [("..x...", "..x..."), ("xxxxxx", "xxxxxx")][::order]
    small, large, background = (
        shares(*pairs)[at] for at in ((0, 1, 2) if order == 1 else (1, 0, 2))
    )
    assert small == [0, 0, 1, 0, 0, 0]
    assert large == [1, 1, 0, 1, 1, 1]
    assert sum(background) == 0


def test_of_two_in_the_same_place_the_first_stays() -> None:
    assert shares(("xx", "xx"), ("xx", "xx")) == [[1, 1], [0, 0], [0, 0]]


def test_a_layers_cells_have_the_mean_of_theirs() -> None:
    fine = torch.zeros(1, 1, 8, 8)
    fine[..., :2, :4] = 1
    coarse = cells_of(fine, 4, patch=2, coarsest=4)
    assert coarse.tolist() == [[[[0.5, 0.0], [0.0, 0.0]]]]


def test_a_grid_that_does_not_divide_repeats_its_edge() -> None:
    fine = torch.arange(5.0).view(1, 1, 5)
    assert cells_of(fine, 3, patch=1, coarsest=2)[0, 0].tolist() == [0.5, 2.5, 4.0]
    assert cells_of(fine, 4, patch=1, coarsest=4)[0, 0].tolist() == [0.5, 2.5, 4.0, 4.0]
    assert cells_of(fine, 8, patch=1, coarsest=4)[0, 0].tolist() == [0, 1, 2, 3, 4, 4, 4, 4]
    with pytest.raises(ValueError, match="no level of 7 cells"):
        cells_of(fine, 7, patch=1, coarsest=4)
