"""Neighbours in the aligned space, for context: whose they may be, and how often one is taken."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from medgen.errors import InputError, UsageError

CONTEXT = 3  # neighbours of each study
BLOCK = 1000  # queries at once: 1000 x 100,000 similarities are 400 MB
DEEP = 64  # neighbours that are sorted at first; all of them only where these are taken
ALIKE = 1e-6  # of the mean squared distance from the centre: below, all embeddings are equal

Vectors = Float[np.ndarray, "studies width"]
"""Unit embeddings, one a study."""


@dataclass(frozen=True)
class Neighbours:
    """Which studies give context to which.

    Attributes:
        of: Numbers of the neighbours of each study, the nearest first; fewer than asked for where
            a cap leaves none.
        taken: How often each study is somebody's neighbour.
    """

    of: tuple[tuple[int, ...], ...]
    taken: Int[np.ndarray, " studies"]


def neighbours(
    vectors: Vectors,
    patients: Sequence[str],
    *,
    count: int = CONTEXT,
    max_reuse: int | None = None,
) -> Neighbours:
    """The nearest studies of other patients, by cosine; the index is a matrix product.

    With a cap, studies choose one after the other in their order, and what is taken so often is
    passed over.

    Args:
        vectors: Unit embeddings.
        patients: Of each study.
        count: Neighbours of each.
        max_reuse: How often a study may be taken, at most; None for no cap.

    Raises:
        InputError: If an embedding is not finite, all are equal, or there are too few patients.
        UsageError: If the cap cannot be kept.

    Source: Hu et al. 2024, section 4.1 (arXiv:2401.01952).
    """
    _check(vectors, patients, count, max_reuse)
    names = np.unique(np.array(patients), return_inverse=True)[1]
    taken: Int[np.ndarray, " studies"] = np.zeros(len(vectors), np.int64)
    found: list[tuple[int, ...]] = []
    for start in range(0, len(vectors), BLOCK):
        block = slice(start, start + BLOCK)
        similar = vectors[block] @ vectors.T
        similar[names[block, None] == names] = -np.inf  # nobody learns from the same patient
        deep = min(DEEP, len(vectors))
        nearest = np.argpartition(-similar, deep - 1, axis=1)[:, :deep]
        for row, some in zip(similar, nearest, strict=True):
            chosen = _chosen(row, some, taken, count, max_reuse)
            if len(chosen) < count:
                chosen = _chosen(row, np.arange(len(row)), taken, count, max_reuse)
            taken[list(chosen)] += 1
            found.append(chosen)
    return Neighbours(tuple(found), taken)


def _chosen(
    similar: Float[np.ndarray, " studies"],
    some: Int[np.ndarray, " candidates"],
    taken: Int[np.ndarray, " studies"],
    count: int,
    max_reuse: int | None,
) -> tuple[int, ...]:
    free = some[np.isfinite(similar[some])]
    if max_reuse is not None:
        free = free[taken[free] < max_reuse]
    order = np.lexsort((free, -similar[free]))  # of equals, the first
    return tuple(free[order[:count]].tolist())


def _check(vectors: Vectors, patients: Sequence[str], count: int, max_reuse: int | None) -> None:
    if not np.isfinite(vectors).all():
        raise InputError("embeddings are not finite; train the encoders again")
    people = len(set(patients))
    if people <= count:
        raise InputError(
            f"an archive of {len(patients)} studies of {people} patients: context are {count} "
            f"studies of others; {count + 1} patients are needed, and hundreds are useful"
        )
    if float(np.square(vectors - vectors.mean(0)).sum(1).mean()) < ALIKE:
        raise InputError(
            "all embeddings are equal, so that nobody is nearest; the encoders have learned "
            "nothing of these images: medgen align"
        )
    if max_reuse is not None and max_reuse < count:
        raise UsageError(
            f"--max-reuse {max_reuse}: every study needs {count} others; choose {count} or more"
        )


@dataclass(frozen=True)
class Share:
    """How much of the context a group of studies gives.

    Attributes:
        studies: In the group.
        archive: Its share of the archive.
        context: Its share of all that was retrieved.
        ratio: The second over the first; 1 is as often as there are such studies.
    """

    studies: int
    archive: float
    context: float
    ratio: float


def shares(groups: Sequence[str | None], taken: Int[np.ndarray, " studies"]) -> dict[str, Share]:
    """The share of each group among those whose group is known.

    Example:
        >>> shares(["f", "f", "m", None], np.array([1, 1, 6, 5]))["m"].ratio
        2.25
    """
    known = np.array([group is not None for group in groups])
    names = np.array([str(group) for group in groups])
    total = int(taken[known].sum())
    found = {}
    for name in sorted(set(names[known].tolist())):
        is_in = known & (names == name)
        archive = float(is_in.sum() / known.sum())
        context = float(taken[is_in].sum() / total) if total else 0.0
        found[name] = Share(int(is_in.sum()), archive, context, round(context / archive, 4))
    return found


def inequality(taken: Int[np.ndarray, " studies"]) -> float:
    """Gini's coefficient of how often studies are taken: 0 all alike, near 1 a few give all.

    Example:
        >>> inequality(np.array([2, 2, 2])), inequality(np.array([0, 0, 6]))
        (0.0, 0.6667)
    """
    ordered = np.sort(taken).astype(float)
    total, count = ordered.sum(), len(ordered)
    if not total:
        return 0.0
    ranks = np.arange(1, count + 1)
    return round(float((2 * ranks - count - 1) @ ordered / (count * total)), 4)
