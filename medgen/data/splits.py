"""Which patients to train, validate and test on: drawn once, and the same ever after."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from medgen.data.study import Split, Study
from medgen.errors import UsageError


@dataclass(frozen=True)
class Shares:
    """How many of all patients each split is to have, in percent.

    Raises:
        UsageError: If they are not 0 or more, or do not add up to 100.
    """

    train: int
    validation: int
    test: int

    def __post_init__(self) -> None:
        shares = (self.train, self.validation, self.test)
        if min(shares) < 0 or sum(shares) != 100:
            raise UsageError(f"--shares {','.join(map(str, shares))}: must add up to 100 percent")

    @classmethod
    def parse(cls, word: str) -> "Shares":
        """Read `TRAIN,VALIDATION,TEST`.

        Raises:
            UsageError: If it is not three whole numbers that add up to 100.

        Example:
            >>> Shares.parse("80,10,10")
            Shares(train=80, validation=10, test=10)
        """
        shares = [share.strip() for share in word.split(",")]
        if len(shares) != 3 or not all(share.isdecimal() and len(share) < 4 for share in shares):
            raise UsageError(f"--shares {word}: write three percentages, such as 80,10,10")
        return cls(*map(int, shares))


def split_of(patient: str, shares: Shares, *, seed: int = 0) -> Split:
    """Draw the split of a patient, from nothing but the patient's name and the seed.

    Others do not matter, so nobody moves when studies are added. A test patient remains one when
    validation is enlarged at the cost of training, and so on: only the borders move.

    Args:
        patient: As in the manifest.
        shares: Percent of all patients; of few patients a split may get none.
        seed: Of the draw.
    """
    digest = hashlib.sha256(f"{seed}/{patient}".encode()).digest()
    draw = int.from_bytes(digest[:8], "big") * 100 >> 64  # 0 to 99, evenly
    if draw < shares.train:
        return Split.TRAIN
    return Split.VALIDATION if draw < shares.train + shares.validation else Split.TEST


def split_patients(studies: Iterable[Study], shares: Shares, *, seed: int = 0) -> list[Study]:
    """Give every study the split of its patient, whatever split it had."""
    return [replace(study, split=split_of(study.patient, shares, seed=seed)) for study in studies]
