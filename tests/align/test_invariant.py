"""Views that agree, each number for itself, have no loss; and each way of failing has its own."""

import numpy as np
import pytest
import torch

from medgen.align.invariant import cross_correlation, invariance_loss
from tests.oracles import correlation_by_loops


def drawn(count: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=torch.float64)


def decorrelated(count: int, width: int) -> torch.Tensor:
    """Columns of mean 0 that are orthogonal to each other."""
    views = drawn(count, width)
    return torch.linalg.qr(views - views.mean(0)).Q * 3 + 5


def test_the_correlation_is_numpys() -> None:
    one, other = drawn(7, 4), drawn(7, 4, seed=1)
    slow = correlation_by_loops(one.numpy(), other.numpy())
    np.testing.assert_allclose(cross_correlation(one, other).numpy(), slow, atol=1e-12)


def test_identical_decorrelated_views_have_no_loss() -> None:
    views = decorrelated(32, 8)
    assert float(invariance_loss(views, views, off_diag_weight=1.0)) == pytest.approx(0, abs=1e-20)


def test_gain_and_offset_of_each_number_do_not_matter() -> None:
    one, other = drawn(9, 4), drawn(9, 4, seed=1)
    changed = one * torch.tensor([2.0, 0.1, 30.0, 1.0]) - 7
    torch.testing.assert_close(invariance_loss(changed, other), invariance_loss(one, other))


def test_unrelated_views_have_the_loss_of_chance() -> None:
    """Correlations of N independent pairs have variance 1 / (N - 1)."""
    count, width = 500, 64
    losses = [
        float(invariance_loss(drawn(count, width, seed), drawn(count, width, 100 + seed)))
        for seed in range(10)
    ]
    expected = width * (1 + 1 / (count - 1)) + 5e-3 * width * (width - 1) / (count - 1)
    assert np.mean(losses) == pytest.approx(expected, rel=0.01)


def test_the_literal_loss_is_content_with_views_that_have_nothing_in_common() -> None:
    """PAPERS 1.3, the trap: minimising the off-diagonal alone does not ask for agreement."""
    views = decorrelated(32, 16)
    one, other = views[:, :8], views[:, 8:]
    literal = {"diag_weight": 0.0, "off_diag_weight": 1.0}
    assert float(invariance_loss(one, other, **literal)) == pytest.approx(0, abs=1e-20)
    assert float(invariance_loss(one, other)) == pytest.approx(8)


def test_saying_everything_twice_costs_the_off_diagonal() -> None:
    views = decorrelated(32, 1).expand(-1, 4)
    assert float(invariance_loss(views, views, off_diag_weight=0.1)) == pytest.approx(0.1 * 12)


def test_views_that_are_opposites_cost_the_diagonal() -> None:
    views = decorrelated(32, 4)
    assert float(invariance_loss(views, -views)) == pytest.approx(4 * 4)


@pytest.mark.parametrize("count", [0, 1])
def test_a_single_image_says_nothing(count: int) -> None:
    one = drawn(count, 4).requires_grad_()
    loss = invariance_loss(one, drawn(count, 4, seed=1))
    loss.backward()
    assert loss.item() == 0
    assert one.grad is not None


def test_a_number_that_never_changes_correlates_with_nothing() -> None:
    one = drawn(5, 3)
    one[:, 1] = 4.0
    one.requires_grad_()
    correlation = cross_correlation(one, one)
    assert not correlation[1].any()
    invariance_loss(one, one).backward()
    assert one.grad is not None
    assert one.grad.isfinite().all()


def test_autocast_does_not_round() -> None:
    one, other = drawn(5, 3).float(), drawn(5, 3, seed=1).float()
    plain = invariance_loss(one, other)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(invariance_loss(one, other), plain)
