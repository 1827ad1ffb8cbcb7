"""The split of a patient hangs on the patient and the seed alone."""

import hashlib

import pytest

from medgen.data.splits import Shares, split_of, split_patients
from medgen.data.study import Split, Study
from medgen.errors import UsageError

SHARES = Shares(80, 10, 10)
MANY = [f"p{number}" for number in range(10_000)]


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("patient", ["p1", "Ångström", "DOE^JOHN", ""])
def test_a_split_is_where_the_hash_falls(seed: int, patient: str) -> None:
    digest = hashlib.sha256(f"{seed}/{patient}".encode()).hexdigest()
    fraction = int(digest[:16], 16) / 2**64
    expected = "train" if fraction < 0.8 else "validation" if fraction < 0.9 else "test"
    assert split_of(patient, SHARES, seed=seed) == expected


def test_splits_drawn_today_are_drawn_tomorrow() -> None:
    drawn = [split_of(f"p{n}", SHARES) for n in range(40)]
    assert [n for n, split in enumerate(drawn) if split is Split.VALIDATION] == [4, 26, 32]
    assert [n for n, split in enumerate(drawn) if split is Split.TEST] == [16, 19, 24, 33, 39]


def test_shares_are_kept_within_chance() -> None:
    """Three standard deviations of a binomial: 120 of 8000, 90 of 1000."""
    drawn = [split_of(patient, SHARES) for patient in MANY]
    assert abs(drawn.count(Split.TRAIN) - 8000) < 120
    assert abs(drawn.count(Split.VALIDATION) - 1000) < 90
    assert abs(drawn.count(Split.TEST) - 1000) < 90


@pytest.mark.parametrize("split", Split)
def test_everything_may_go_into_one_split(split: Split) -> None:
    shares = Shares(**{name: 100 if name == split else 0 for name in Split})
    assert {split_of(patient, shares) for patient in MANY[:1000]} == {split}


def test_another_seed_is_another_draw() -> None:
    one, other = ([split_of(p, SHARES, seed=seed) for p in MANY] for seed in (0, 1))
    assert sum(a != b for a, b in zip(one, other, strict=True)) > 2000


def test_a_border_that_moves_leaves_the_others_alone() -> None:
    for patient in MANY[:1000]:
        before, after = split_of(patient, SHARES), split_of(patient, Shares(60, 30, 10))
        assert before == after or (before, after) == (Split.TRAIN, Split.VALIDATION)


def test_a_patient_stays_whole_and_nobody_moves_when_studies_are_added() -> None:
    studies = [Study(f"s{n}", f"p{n % 50}", split=Split.TEST) for n in range(200)]
    drawn = split_patients(studies, SHARES, seed=3)
    assert [study.id for study in drawn] == [study.id for study in studies]
    assert len({(study.patient, study.split) for study in drawn}) == 50
    assert split_patients(studies[::-2], SHARES, seed=3) == drawn[::-2]


@pytest.mark.parametrize(
    "word", ["", "80", "80,20", "80,10,20", "-10,100,10", "33.3,33.3,33.4", "a,b,c", "80,10,10,0"]
)
def test_shares_that_are_none_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match=f"^--shares {word}: "):
        Shares.parse(word)
