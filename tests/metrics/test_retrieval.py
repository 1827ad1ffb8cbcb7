"""Ranks are those of a slow search, and chance is what shuffling gives."""

import itertools
import math
from itertools import combinations

import numpy as np
import pytest

from medgen.errors import InputError
from medgen.metrics.retrieval import agreement, modality_gap, ranks, retrieval, uniformity

RANDOM = np.random.default_rng(0)


def drawn(count: int, width: int = 8) -> np.ndarray:
    vectors = RANDOM.normal(size=(count, width))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def slow_ranks(queries: np.ndarray, items: np.ndarray, groups: list[int]) -> list[int]:
    found = []
    for query, group in zip(queries, groups, strict=True):
        order = sorted(range(len(items)), key=lambda j: -float(np.dot(query, items[j])))
        found.append(1 + next(place for place, j in enumerate(order) if groups[j] == group))
    return found


@pytest.mark.parametrize("groups", [list(range(12)), [0, 1, 2, 3, 0, 1, 4, 5, 6, 0, 7, 8]])
def test_ranks_are_those_of_a_slow_search(groups: list[int]) -> None:
    queries, items = drawn(12), drawn(12)
    slow = slow_ranks(queries, items, groups)
    found = retrieval(queries, items, groups=np.array(groups))
    assert found.recall == {k: np.mean([rank <= k for rank in slow]) for k in (1, 5, 10)}
    assert found.median_rank == sorted(slow)[5]  # half of 12 are at most this
    assert (found.gallery, found.galleries) == (12, 1)


def test_perfect_embeddings_come_first() -> None:
    vectors = np.eye(20)
    found = retrieval(vectors, vectors)
    assert found.recall == {1: 1.0, 5: 1.0, 10: 1.0}
    assert found.median_rank == 1
    assert found.chance_recall == pytest.approx({1: 0.05, 5: 0.25, 10: 0.5})
    assert found.chance_median_rank == 10


def test_embeddings_that_are_all_one_find_nothing() -> None:
    vectors = np.ones((20, 1))
    found = retrieval(vectors, vectors)
    assert found.recall == {1: 0.0, 5: 0.0, 10: 0.0}
    assert found.median_rank == 20


def test_a_tie_counts_against_the_query() -> None:
    similarity = np.array([[0.5, 0.5, 0.1], [0.5, 0.5, 0.1], [0.2, 0.1, 0.2]])
    assert ranks(similarity, np.eye(3, dtype=bool)).tolist() == [2, 2, 2]
    assert ranks(similarity, np.ones((3, 3), bool)).tolist() == [1, 1, 1]


def test_chance_is_the_mean_over_all_orders() -> None:
    """Five studies, two of one group: every order of the items, counted."""
    groups = np.array([0, 0, 1, 2, 3])
    hits = dict.fromkeys(range(1, 6), 0)
    orders = list(itertools.permutations(range(5)))
    for order, group in itertools.product(orders, groups):
        first = next(place for place, j in enumerate(order) if groups[j] == group)
        for k in hits:
            hits[k] += first < k
    share = {k: count / (5 * len(orders)) for k, count in hits.items()}
    found = retrieval(drawn(5), drawn(5), groups=groups)
    assert found.chance_recall == pytest.approx({1: share[1], 5: 1.0, 10: 1.0})
    assert found.chance_median_rank == min(k for k in share if share[k] >= 0.5)


def test_what_knows_nothing_is_as_good_as_chance() -> None:
    found = retrieval(drawn(2000), drawn(2000), gallery=100)
    for k in (1, 5, 10):
        assert found.recall[k] == pytest.approx(k / 100, abs=0.02)
        assert found.chance_recall[k] == pytest.approx(k / 100)
    assert abs(found.median_rank - 50) < 6


def test_galleries_are_means_over_the_same_draws() -> None:
    queries = drawn(30)
    items = queries + 0.5 * drawn(30)
    found = retrieval(queries, items, gallery=10, galleries=7)
    assert found == retrieval(queries, items, gallery=10, galleries=7)
    assert found != retrieval(queries, items, gallery=10, galleries=7, seed=1)
    assert (found.gallery, found.galleries) == (10, 7)
    assert found.recall[10] == 1
    assert found.recall[1] > retrieval(queries, items).recall[1]


def test_a_gallery_of_two_by_hand() -> None:
    """Of three studies two are drawn: every pair in turn, so the mean is over the pairs."""
    queries = np.eye(3)
    items = np.array([[1, 0, 0], [0.9, 0.1, 0], [0, 0.5, 1]])
    pairs = {(0, 1): [1, 1], (0, 2): [1, 1], (1, 2): [0, 1]}  # 1: the right item comes first
    found = retrieval(queries, items, gallery=2, galleries=3000)
    assert found.recall[1] == pytest.approx(np.mean(list(pairs.values())), abs=0.01)


def test_both_directions_and_the_shape_of_the_space() -> None:
    one, other = drawn(30), drawn(30)
    found = agreement(one, other, gallery=10)
    assert found.there == retrieval(one, other, gallery=10)
    assert found.back == retrieval(other, one, gallery=10)
    assert found.gap == modality_gap(one, other)
    assert found.uniformity == (uniformity(one), uniformity(other))


def test_the_gap_is_the_distance_of_the_centres() -> None:
    one = np.array([[1.0, 0], [0, 1]])
    assert modality_gap(one, -one) == pytest.approx(math.sqrt(2))
    assert modality_gap(one, one) == 0


def test_uniformity_by_hand() -> None:
    assert uniformity(np.ones((5, 1))) == pytest.approx(0)
    corners = np.array([[1.0, 0], [0, 1], [-1, 0]])  # squared distances 2, 4, 2
    expected = math.log((2 * math.exp(-4) + math.exp(-8)) / 3)
    assert uniformity(corners) == pytest.approx(expected)
    assert math.isnan(uniformity(corners[:1]))


def test_uniformity_is_over_all_pairs_however_many(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = drawn(50, 8)
    apart = [np.sum((a - b) ** 2) for a, b in combinations(vectors, 2)]
    expected = math.log(np.mean(np.exp(-2 * np.array(apart))))
    for rows in (7, 50, 1024):
        monkeypatch.setattr("medgen.metrics.retrieval.ROWS", rows)
        assert uniformity(vectors) == pytest.approx(expected, rel=1e-5)


def test_uniformity_of_a_full_sphere_is_minus_four() -> None:
    """Unrelated vectors of many dimensions are sqrt(2) apart."""
    assert uniformity(drawn(300, 512)) == pytest.approx(-4, abs=0.05)


def test_float32_embeddings_will_do() -> None:
    vectors = drawn(9)
    single = retrieval(vectors.astype(np.float32), vectors.astype(np.float32))
    assert single == retrieval(vectors, vectors)


def test_no_studies_are_refused() -> None:
    with pytest.raises(InputError, match="no studies"):
        retrieval(np.zeros((0, 3)), np.zeros((0, 3)))


def test_embeddings_that_are_not_finite_are_refused() -> None:
    broken = drawn(4)
    broken[2, 1] = np.nan
    with pytest.raises(InputError, match="not finite"):
        retrieval(broken, drawn(4))


def test_parts_are_the_queries_that_have_something_in_common() -> None:
    queries, items = drawn(12), drawn(12)
    sizes = ["small"] * 5 + ["large"] * 7
    found = retrieval(queries, items, parts=sizes)
    slow = slow_ranks(queries, items, list(range(12)))
    assert found.parts["small"] == {k: np.mean([r <= k for r in slow[:5]]) for k in (1, 5, 10)}
    assert found.parts["large"] == {k: np.mean([r <= k for r in slow[5:]]) for k in (1, 5, 10)}
    assert retrieval(queries, items).parts == {}
