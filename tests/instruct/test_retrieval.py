"""Context is near, never of the same patient, and never more than the cap allows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgen.errors import InputError, UsageError
from medgen.instruct import retrieval
from medgen.instruct.retrieval import inequality, neighbours, shares


def archive(count: int, width: int = 8, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def patients(count: int, each: int = 2) -> list[str]:
    return [f"p{at // each}" for at in range(count)]


def test_they_are_those_that_a_loop_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "BLOCK", 7)
    monkeypatch.setattr(retrieval, "DEEP", 5)
    vectors, people = archive(40), patients(40)
    found = neighbours(vectors, people)
    for at, own in enumerate(found.of):
        others = [n for n in range(40) if people[n] != people[at]]
        others.sort(key=lambda n: -float(vectors[at] @ vectors[n]))
        assert list(own) == others[:3]
    assert found.taken.sum() == 3 * 40


@settings(max_examples=30, deadline=None)
@given(st.integers(8, 60), st.integers(1, 4), st.integers(3, 6), st.integers(0, 9))
def test_no_context_is_of_the_patient_and_the_cap_is_kept(
    count: int, each: int, cap: int, seed: int
) -> None:
    people = patients(count, each)
    if len(set(people)) <= 3:
        return
    vectors = archive(count, seed=seed)
    vectors[1::2] = vectors[: len(vectors[1::2])]  # many equals
    found = neighbours(vectors, people, max_reuse=cap)
    assert found.taken.max() <= cap
    for at, own in enumerate(found.of):
        assert all(people[one] != people[at] for one in own)
        assert len(set(own)) == len(own)


def test_a_cap_spreads_what_one_study_would_give() -> None:
    """One study in the middle is everybody's neighbour, unless it may not be."""
    vectors = archive(60)
    vectors[0] = vectors.mean(0) / np.linalg.norm(vectors.mean(0))
    people = patients(60, 1)
    free, capped = neighbours(vectors, people), neighbours(vectors, people, max_reuse=4)
    assert free.taken.max() > 4
    assert capped.taken.max() == 4
    assert inequality(capped.taken) < inequality(free.taken)


@pytest.mark.parametrize(
    ("vectors", "people", "said"),
    [
        (archive(5), ["a", "a", "b", "b", "c"], "5 studies of 3 patients"),
        (np.repeat(archive(1), 9, 0), patients(9, 1), "all embeddings are equal"),
        (np.full((9, 4), np.nan, np.float32), patients(9, 1), "not finite"),
    ],
)
def test_archives_without_neighbours(vectors: np.ndarray, people: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        neighbours(vectors, people)


def test_a_cap_that_cannot_be_kept() -> None:
    with pytest.raises(UsageError, match="--max-reuse 2"):
        neighbours(archive(9), patients(9, 1), max_reuse=2)


def test_shares_of_groups() -> None:
    found = shares(["f", "f", "f", "m"], np.array([0, 0, 0, 8]))
    assert found["m"].ratio == 4.0
    assert found["f"].context == 0.0
    even = shares(["f", "m"], np.array([3, 3]))
    assert {one.ratio for one in even.values()} == {1.0}
