"""Whether reports say the same is there: precision, recall and F1 of findings, and their sides."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from medgen.finding import Finding, Presence, Side
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import Phrases

Found = set[tuple[str, Side | None]]


@dataclass(frozen=True)
class FindingScores:
    """Of a set of reports against the true ones.

    Attributes:
        right: Findings that are there and are said to be.
        invented: Said to be there, and are not.
        missed: There, and not said to be.
        by_name: F1 of each finding that either says is there.
        sided: Findings that are right and have a side in both reports.
        sides_right: Of these, those on the right side.
    """

    right: int
    invented: int
    missed: int
    by_name: dict[str, float]
    sided: int
    sides_right: int

    @property
    def precision(self) -> float:
        """Share of what is said to be there that is; NaN if nothing is."""
        return _share(self.right, self.right + self.invented)

    @property
    def recall(self) -> float:
        """Share of what is there that is said to be; NaN if nothing is."""
        return _share(self.right, self.right + self.missed)

    @property
    def f1(self) -> float:
        """Of all findings together; NaN if nobody says that anything is there."""
        return _share(2 * self.right, 2 * self.right + self.invented + self.missed)

    @property
    def macro_f1(self) -> float:
        """The mean over findings, each counting the same."""
        return _share(sum(self.by_name.values()), len(self.by_name))

    @property
    def side_accuracy(self) -> float:
        """Share of the sides that are right; NaN without sides."""
        return _share(self.sides_right, self.sided)

    def as_scores(self) -> dict[str, float]:
        """By name, as other metrics come."""
        names = ("precision", "recall", "f1", "macro_f1", "side_accuracy")
        return {f"findings-{name.replace('_', '-')}": getattr(self, name) for name in names}


def finding_scores(written: Sequence[str], truth: Sequence[str], phrases: Phrases) -> FindingScores:
    """Read both, and compare what they say is there; what is uncertain is not there.

    A finding on both sides is one on either; two nodules on one side are one.

    Raises:
        ValueError: If there are not as many of one as of the other.
    """
    pairs = [
        (_present(read_findings(one, phrases)), _present(read_findings(true, phrases)))
        for one, true in zip(written, truth, strict=True)
    ]
    right, invented, missed = Counter[str](), Counter[str](), Counter[str]()
    sided = sides_right = 0
    for said, there in pairs:
        names = [{name for name, _ in found} for found in (said, there)]
        right.update(names[0] & names[1])
        invented.update(names[0] - names[1])
        missed.update(names[1] - names[0])
        for name in names[0] & names[1]:
            sides = [
                {side for each, side in found if each == name and side} for found in (said, there)
            ]
            if all(sides):
                sided += 1
                sides_right += sides[0] == sides[1]
    by_name = {
        name: _share(2 * right[name], 2 * right[name] + invented[name] + missed[name])
        for name in sorted(right | invented | missed)
    }
    return FindingScores(
        right.total(), invented.total(), missed.total(), by_name, sided, sides_right
    )


def _present(findings: Sequence[Finding]) -> Found:
    found: Found = set()
    for one in findings:
        if one.presence is Presence.PRESENT:
            sides = (Side.LEFT, Side.RIGHT) if one.side is Side.BOTH else (one.side,)
            found |= {(one.name, side) for side in sides}
    return found


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
