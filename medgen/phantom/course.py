"""The course of disease between two dates: what is new, unchanged, larger or gone."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Generator

from medgen.finding import Course, Presence
from medgen.phantom.fact import Disease, Fact
from medgen.phantom.field import generator_of, uniform

GROWTH = (1.4, 2.2)  # of a diameter, a volume or a share: 20 % of a diameter is progress (RECIST)
DAYS = (3.0, 400.0)
STAYS = (Course.NEW, Course.UNCHANGED)
GROWS = (*STAYS, Course.LARGER)
COURSES = {  # what does not go away, or does not grow; all else may take any course
    "fracture": STAYS,
    "device": STAYS,
    "calcification": STAYS,
    "emphysema": (Course.UNCHANGED, Course.LARGER),
    "atrophy": (Course.UNCHANGED, Course.LARGER),
    "infarct": GROWS,
}


@dataclass(frozen=True)
class Moment:
    """One of the two dates in the course of one finding.

    Attributes:
        course: What happens between the dates; None for a patient who is seen once.
        is_later: The second date.
        growth: The later size as a multiple of the earlier one.
    """

    course: Course | None = None
    is_later: bool = False
    growth: float = 1.0

    @property
    def is_there(self) -> bool:
        """Whether the finding can be seen on this date."""
        return self.course is not (Course.GONE if self.is_later else Course.NEW)

    def size(self, drawn: float, low: float, high: float) -> float:
        """The size on this date, of one that was drawn between `low` and `high`.

        What grows does so around the drawn size, and stays between the two.
        """
        if self.course is not Course.LARGER:
            return drawn
        growth = min(self.growth, high / low)
        before = min(max(drawn / math.sqrt(growth), low), high / growth)
        return before * growth if self.is_later else before

    def largest(self, drawn: float, low: float, high: float) -> float:
        """The larger of the sizes on both dates."""
        return replace(self, is_later=True).size(drawn, low, high)


ONCE = Moment()


@dataclass(frozen=True)
class Visit:
    """When a patient is seen, and where the chance in each finding comes from.

    Attributes:
        generators: By name of a finding, and of a part of it: the same on both dates.
        moments: By name of a finding; empty for a patient who is seen once.
        days: Since the first date; None for the first.
    """

    generators: Callable[[str], Generator]
    moments: Mapping[str, Moment]
    days: int | None = None

    def as_json(self) -> dict[str, int]:
        """What is known of the date."""
        return {} if self.days is None else {"days_since_last": self.days}

    def compared(self, technique: str) -> str:
        """The technique, and what the study is compared with."""
        if self.days is None:
            return technique
        days = "1 day" if self.days == 1 else f"{self.days} days"
        return f"{technique.removesuffix('.')}, compared with the study of {days} before."

    def moment(self, name: str) -> Moment:
        """The date in the course of a finding."""
        return self.moments.get(name, ONCE)

    def stays(self, fact: Fact) -> Fact:
        """What is as it was on the other date."""
        is_told = self.days is not None and fact.finding.presence is Presence.PRESENT
        return _told(fact, Course.UNCHANGED) if is_told else fact

    def seen(self, name: str, disease: Disease) -> Disease:
        """What of a disease is there on this date, and what is told of it."""
        moment = self.moment(name)
        if moment.is_there:
            course = moment.course if moment.is_later else None
            return replace(disease, facts=tuple(_told(fact, course) for fact in disease.facts))
        gone = disease.facts if moment.is_later else ()
        return Disease((), tuple(_gone(fact) for fact in gone))


def single(generator: Generator) -> Visit:
    """The only visit of a patient."""
    return Visit(lambda _: generator, {})


def visit_of(names: Sequence[str], seed: int, index: int, *, is_later: bool) -> Visit:
    """One of the two visits of a patient who has, at one of them or both, these findings.

    Args:
        names: Of the findings.
        seed: Of all studies.
        index: Number of the patient.
        is_later: The second visit.
    """
    moments = {}
    for name in names:
        generator = generator_of(seed, index, "course", name)
        courses = COURSES.get(name, tuple(Course))
        course = courses[int(uniform(0, len(courses), generator))]
        moments[name] = Moment(course, is_later, uniform(*GROWTH, generator))
    low, high = DAYS
    share = uniform(0, 1, generator_of(seed, index, "days"))
    return Visit(
        lambda name: generator_of(seed, index, "disease", name),
        moments,
        round(low * (high / low) ** share) if is_later else None,
    )


def _told(fact: Fact, course: Course | None) -> Fact:
    return replace(fact, finding=replace(fact.finding, course=course))


def _gone(fact: Fact) -> Fact:
    finding = replace(
        fact.finding, presence=Presence.ABSENT, size_mm=None, severity=None, course=Course.GONE
    )
    return Fact(finding)
