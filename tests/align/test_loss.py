"""The alignment loss has the values that paper and pencil give it."""

import math

import pytest
import torch
import torch.nn.functional as F

from medgen.align.loss import alignment_loss, info_nce, same_group
from tests.oracles import info_nce_by_loops

SHARP = torch.tensor(1 / 0.07, dtype=torch.float64)


def drawn(count: int, width: int = 16, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, width, generator=generator, dtype=torch.float64), dim=1)


def test_perfect_partners_leave_the_closed_form() -> None:
    one = torch.eye(8, dtype=torch.float64)
    expected = math.log1p(7 * math.exp(-1 / 0.07))
    assert expected == pytest.approx(4.4e-6, rel=0.01)
    assert float(alignment_loss(one, one, SHARP)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("count", [1, 2, 8])
def test_embeddings_that_are_all_one_say_nothing(count: int) -> None:
    one = drawn(1).expand(count, -1)
    assert float(alignment_loss(one, one, SHARP)) == pytest.approx(math.log(count), abs=1e-12)


def test_unrelated_embeddings_in_many_dimensions_say_nothing() -> None:
    one, other = drawn(8, 200_000, seed=1), drawn(8, 200_000, seed=2)
    assert float(alignment_loss(one, other, SHARP)) == pytest.approx(math.log(8), abs=0.05)


def test_each_direction_is_the_slow_oracles() -> None:
    one, other = drawn(6), drawn(6, seed=1)
    slow = info_nce_by_loops(one.tolist(), other.tolist(), 0.07)
    assert float(info_nce(one, other, SHARP)) == pytest.approx(slow, rel=1e-12)
    back = info_nce_by_loops(other.tolist(), one.tolist(), 0.07)
    assert float(alignment_loss(one, other, SHARP)) == pytest.approx((slow + back) / 2, rel=1e-12)


def test_a_duplicate_is_as_if_it_were_not_there() -> None:
    """Two rows say the same: each has the loss it has in the batch without the other."""
    one, other = drawn(6), drawn(6, seed=1)
    twice = torch.cat([one, one[:1]]), torch.cat([other, other[:1]])
    duplicates = same_group(torch.tensor([0, 1, 2, 3, 4, 5, 0]))
    with_it = info_nce(*twice, SHARP, duplicates=duplicates)
    alone = [info_nce_by_loops(one.tolist(), other.tolist(), 0.07, only=i) for i in range(6)]
    # The other rows are not duplicates of the two, and have both among their negatives.
    others = [info_nce_by_loops(*(t.tolist() for t in twice), 0.07, only=i) for i in range(1, 6)]
    assert float(with_it) == pytest.approx((2 * alone[0] + sum(others)) / 7, rel=1e-12)


def test_duplicates_count_for_both_directions() -> None:
    one, other = drawn(3), drawn(3, seed=1)
    lopsided = torch.tensor([[0, 1, 0], [0, 0, 0], [0, 0, 0]]).bool()
    there = info_nce(one, other, SHARP, duplicates=lopsided)
    back = info_nce(other, one, SHARP, duplicates=lopsided.mT)
    both = alignment_loss(one, other, SHARP, duplicates=lopsided)
    torch.testing.assert_close(both, (there + back) / 2)
    assert there < info_nce(one, other, SHARP)


def test_the_diagonal_of_duplicates_does_not_matter() -> None:
    one, other = drawn(3), drawn(3, seed=1)
    plain = alignment_loss(one, other, SHARP)
    itself = torch.eye(3, dtype=torch.bool)
    assert torch.equal(alignment_loss(one, other, SHARP, duplicates=itself), plain)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_where_nothing_can_be_confused_there_is_no_loss_and_no_gradient(count: int) -> None:
    """No study, one study, and three whose reports are all the same."""
    one, other = drawn(3)[:count].requires_grad_(), drawn(3, seed=1)[:count]
    everything = same_group(torch.zeros(count, dtype=torch.long))
    loss = alignment_loss(one, other, SHARP, duplicates=everything)
    loss.backward()
    assert loss.item() == 0
    assert one.grad is not None
    assert not one.grad.any()


def test_the_order_of_the_pairs_does_not_matter() -> None:
    one, other = drawn(6), drawn(6, seed=1)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    shuffled = alignment_loss(one[order], other[order], SHARP)
    torch.testing.assert_close(alignment_loss(one, other, SHARP), shuffled)


def test_autocast_does_not_round_similarities() -> None:
    one, other, scale = drawn(6).float(), drawn(6, seed=1).float(), torch.tensor(100.0)
    plain = alignment_loss(one, other, scale)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(alignment_loss(one, other, scale), plain)


def test_a_decoy_is_one_more_negative_and_zeros_are_none() -> None:
    one, other = (F.normalize(torch.randn(3, 4), dim=1) for _ in range(2))
    decoys = F.normalize(torch.randn(3, 2, 4), dim=-1)
    decoys[1] = decoys[2, 0] = 0
    scale = torch.tensor(5.0)
    expected = []
    for row in range(3):
        logits = [scale * one[row] @ item for item in other]
        logits += [scale * one[row] @ decoy for decoy in decoys[row] if decoy.any()]
        expected.append(torch.stack(logits).logsumexp(0) - logits[row])
    found = info_nce(one, other, scale, decoys=decoys)
    torch.testing.assert_close(found, torch.stack(expected).mean())


def test_a_decoy_gives_a_batch_of_one_something_to_learn() -> None:
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    scale = torch.tensor(1.0)
    assert info_nce(one, other, scale) == 0
    same = info_nce(one, other, scale, decoys=other[:, None])
    assert same.item() == pytest.approx(math.log(2))


def test_decoys_mislead_only_those_that_look_for_their_kind() -> None:
    one, other, decoy = (F.normalize(torch.randn(4, 6), dim=1) for _ in range(3))
    decoys, scale = decoy[:, None], torch.tensor(3.0)
    there, back = info_nce(one, other, scale), info_nce(other, one, scale, decoys=decoys)
    found = alignment_loss(one, other, scale, decoys=decoys)
    torch.testing.assert_close(found, (there + back) / 2)
