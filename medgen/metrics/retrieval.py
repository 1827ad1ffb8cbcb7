"""Does the right partner come first? Ranks, what chance would give, and the shape of the space."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from medgen.errors import InputError

AT = (1, 5, 10)
GALLERIES = 20
SEED = 0
ROWS = 1024  # of a square of all pairs, in memory at a time

Vectors = Float[np.ndarray, "studies width"]
"""Unit embeddings, one a study."""


@dataclass(frozen=True)
class Retrieval:
    """How well one modality finds another.

    Attributes:
        recall: By k: share of queries whose right item is among the first k.
        median_rank: The smallest k for which that share is at least a half; 1 is best.
        chance_recall: By k: the same of an order that knows nothing.
        chance_median_rank: The same.
        gallery: Items in a gallery.
        galleries: How many galleries the figures are the mean of.
        parts: `recall` of some of the queries, by what they have in common.
    """

    recall: dict[int, float]
    median_rank: int
    chance_recall: dict[int, float]
    chance_median_rank: int
    gallery: int
    galleries: int
    parts: dict[str, dict[int, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Agreement:
    """How two modalities lie to each other in the shared space.

    Attributes:
        there: The first one's embeddings look for the second one's.
        back: The other way round.
        gap: Distance between the centres of the two; 0 is best, 2 the worst.
        uniformity: Of each; lower is better, and -4 as good as it gets.

    Source: the gap is Liang et al. 2022, section 2 (arXiv:2203.02053).
    """

    there: Retrieval
    back: Retrieval
    gap: float
    uniformity: tuple[float, float]


def agreement(
    one: Vectors,
    other: Vectors,
    *,
    groups: Int[np.ndarray, " studies"] | None = None,
    parts: Sequence[str] = (),
    gallery: int | None = None,
) -> Agreement:
    """Retrieval in both directions, from the same galleries, and the shape of the space.

    Args:
        one: Embeddings of one modality.
        other: Of the other, the same studies in the same order.
        groups: Studies of one group are equally right: those with the same report.
        parts: What each study is counted with, for figures of their own; empty for none.
        gallery: Studies in a gallery; all of them in one if None, or if there are no more.

    Raises:
        InputError: If there are no studies, or an embedding is not finite.
    """
    there, back = (
        retrieval(*pair, groups=groups, parts=parts, gallery=gallery)
        for pair in ((one, other), (other, one))
    )
    return Agreement(there, back, modality_gap(one, other), (uniformity(one), uniformity(other)))


def retrieval(
    queries: Vectors,
    items: Vectors,
    *,
    groups: Int[np.ndarray, " studies"] | None = None,
    parts: Sequence[str] = (),
    gallery: int | None = None,
    galleries: int = GALLERIES,
    seed: int = SEED,
) -> Retrieval:
    """Let every study of a gallery look for its own among the items of the gallery.

    Raises:
        InputError: If there are no studies, or an embedding is not finite.
    """
    count = len(queries)
    if not count:
        raise InputError("there are no studies to retrieve; check the split")
    if not (np.isfinite(queries).all() and np.isfinite(items).all()):
        raise InputError("embeddings are not finite; train the encoders again")
    names = np.arange(count) if groups is None else groups
    size = min(gallery or count, count)
    random = np.random.default_rng(seed)
    draws = [random.permutation(count)[:size] for _ in range(galleries if size < count else 1)]
    right = [names[draw][:, None] == names[draw] for draw in draws]
    rank = np.concatenate(
        [
            ranks(queries[draw] @ items[draw].T, is_right)
            for draw, is_right in zip(draws, right, strict=True)
        ]
    )
    rights = np.concatenate([is_right.sum(1) for is_right in right])
    chance = _chance(rights, size)
    part_of = np.array(parts)[np.concatenate(draws)] if parts else np.array([])
    return Retrieval(
        recall={k: float((rank <= k).mean()) for k in AT},
        median_rank=int(np.quantile(rank, 0.5, method="inverted_cdf")),
        chance_recall={k: float(chance[min(k, size)]) for k in AT},
        chance_median_rank=int(np.argmax(chance >= 0.5 - 1e-12)),
        gallery=size,
        galleries=len(draws),
        parts={
            str(part): {k: float((rank[part_of == part] <= k).mean()) for k in AT}
            for part in dict.fromkeys(sorted(parts))
            if (part_of == part).any()
        },
    )


def ranks(
    similarity: Float[np.ndarray, "queries items"], is_right: Bool[np.ndarray, "queries items"]
) -> Int[np.ndarray, " queries"]:
    """Place of the best right item of each query; 1 is first, and a tie counts against it.

    Example:
        >>> ranks(np.array([[0.1, 0.9, 0.5]]), np.array([[True, False, True]]))
        array([2])
    """
    best = np.where(is_right, similarity, -np.inf).max(1, keepdims=True)
    return 1 + (~is_right & (similarity >= best)).sum(1)


def modality_gap(one: Vectors, other: Vectors) -> float:
    """Distance between the centres of two modalities."""
    return float(np.linalg.norm(one.mean(0) - other.mean(0)))


def uniformity(vectors: Vectors) -> float:
    """How evenly embeddings fill the sphere: 0 if all are one, NaN for fewer than two.

    Source: Wang & Isola 2020, eq. 2 with t = 2 (arXiv:2005.10242).
    """
    if len(vectors) < 2:
        return math.nan
    count, lengths = len(vectors), (vectors**2).sum(1)
    total = 0.0
    for start in range(0, count, ROWS):
        part = slice(start, start + ROWS)
        squares = lengths[part, None] + lengths - 2 * vectors[part] @ vectors.T
        closeness = np.exp(-2 * squares)
        total += float(closeness.sum(dtype=np.float64) - np.trace(closeness, start))
    return math.log(total / (count * (count - 1)))


def _chance(rights: Int[np.ndarray, " queries"], size: int) -> Float[np.ndarray, " places"]:
    """By k from 0 to `size`: the share of queries for which k random items hold a right one.

    All k miss the m right ones of n with probability C(n - m, k) / C(n, k).
    """
    misses = np.ones((size + 1, len(rights)))
    for k in range(size):
        misses[k + 1] = misses[k] * (size - rights - k).clip(0) / (size - k)
    return 1 - misses.mean(1)
