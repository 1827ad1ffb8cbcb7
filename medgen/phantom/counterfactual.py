"""Counterfactual reports of a simulated patient: one fact changed to what is not true of anybody.

What is changed stays plausible: a finding that is made up has a side, a region, a size and a
severity if such findings have them, so that only the image tells which report is true.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Generator

from medgen.data.counterfactuals import Change, Counterfactual
from medgen.finding import Finding, Presence, Side
from medgen.phantom.fact import Fact, said_of
from medgen.phantom.field import chance, generator_of, uniform
from medgen.phantom.report import write_report

TELLING = 1.5  # least ratio of a true size and a false one
SEVERITIES = ("small", "moderate", "large")
LOBES = {
    Side.LEFT: ("upper_lobe", "lower_lobe"),
    Side.RIGHT: ("upper_lobe", "middle_lobe", "lower_lobe"),
}
BRAIN = ("frontal", "parietal", "temporal", "occipital", "cerebellum", "basal_ganglia")
BRAINS = {Side.LEFT: BRAIN, Side.RIGHT: BRAIN}


@dataclass(frozen=True)
class Sort:
    """What is said of findings of one name.

    Attributes:
        regions: Where they may be, by side; empty for findings without a region.
        has_side: Whether they are on a side.
        sizes: From the smallest to the largest, mm; None for findings that nobody measures.
        has_severity: Whether they are small, moderate or large.
    """

    regions: Mapping[Side, tuple[str, ...]]
    has_side: bool = True
    sizes: tuple[float, float] | None = None
    has_severity: bool = False


ANYWHERE: Mapping[Side, tuple[str, ...]] = {}
SORTS = {
    "pleural_effusion": Sort(ANYWHERE, has_severity=True),
    "pneumothorax": Sort(ANYWHERE, has_severity=True),
    "consolidation": Sort(LOBES, has_severity=True),
    "atelectasis": Sort(LOBES, has_severity=True),
    "nodule": Sort(LOBES, sizes=(4, 30)),
    "mass": Sort(LOBES, sizes=(31, 70)),
    "emphysema": Sort(ANYWHERE, has_side=False, has_severity=True),
    "oedema": Sort(ANYWHERE, has_side=False, has_severity=True),
    "cardiomegaly": Sort(ANYWHERE, has_side=False, has_severity=True),
    "fracture": Sort(ANYWHERE),
    "device": Sort(ANYWHERE),
    "haemorrhage": Sort(BRAINS, sizes=(8, 55)),
    "infarct": Sort(BRAINS, has_severity=True),
    "brain_mass": Sort(BRAINS, sizes=(8, 55)),
    "brain_oedema": Sort(BRAINS, has_severity=True),
    "calcification": Sort(BRAINS, sizes=(4, 14)),
    "ventriculomegaly": Sort(ANYWHERE, has_side=False, has_severity=True),
    "atrophy": Sort(ANYWHERE, has_side=False, has_severity=True),
    "midline_shift": Sort(ANYWHERE, has_side=False, sizes=(2, 14), has_severity=True),
}


def counterfactuals(
    facts: Sequence[Fact],
    *,
    rounds: int,
    seed: int,
    index: int,
    technique: str,
    held_out: bool = False,
) -> Iterator[Counterfactual]:
    """Pairs of reports, in each round one for every kind of change that the facts allow.

    Args:
        facts: Of the patient, absent findings among them.
        rounds: How many of each kind, in other words each time.
        seed: Of all studies.
        index: Number of the study.
        technique: As for `report_of`.
        held_out: Write in the words that are kept from training.
    """
    true = [fact.finding for fact in facts]
    for each in range(rounds):
        for change in Change:
            generator = generator_of(seed, index, f"{change} {each}")
            options = [
                (one, false) for one in true for false in _falsehoods(one, change, true, generator)
            ]
            if not options:
                continue
            one, false = options[int(uniform(0, len(options), generator))]
            said = said_of(facts, generator)
            if one not in said:
                said.insert(int(uniform(0, len(said) + 1, generator)), one)
            introduced = technique if chance(0.5, generator) else ""
            reports = [
                write_report(
                    findings,
                    generator=generator_of(seed, index, f"words of {change} {each}"),
                    technique=introduced,
                    held_out=held_out,
                ).text
                for findings in (said, _with(false, one, said))
            ]
            yield Counterfactual(change, *reports)


def _with(false: Finding, one: Finding, said: Sequence[Finding]) -> list[Finding]:
    """The findings with one made false; if it is gone, so are its likes on the other side."""
    if false.presence is Presence.ABSENT:
        said = [each for each in said if each == one or each.name != one.name]
    return [false if each == one else each for each in said]


def _falsehoods(
    one: Finding, change: Change, true: Sequence[Finding], generator: Generator
) -> list[Finding]:
    """What the finding would be with this changed; empty if nothing can be, or it would be true."""
    sort = SORTS[one.name]
    if change is Change.PRESENCE:
        return [made_up(one.name, generator) if _is_absent(one) else _absent(one)]
    if _is_absent(one):
        return []
    same = [each for each in true if each.name == one.name and each != one]
    if change is Change.SIDE:
        other = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}.get(one.side or Side.BOTH)
        is_there = other and (not one.region or one.region in sort.regions.get(other, ()))
        return [replace(one, side=other)] if is_there and not same else []
    if change is Change.REGION:
        elsewhere = sort.regions.get(one.side or Side.BOTH, ()) if one.region and not same else ()
        return [replace(one, region=region) for region in elsewhere if region != one.region]
    if change is Change.SIZE:
        sizes = _other_sizes(one, sort, generator)
        return [replace(one, size_mm=size) for size in sizes]
    others = SEVERITIES if one.severity and one.size_mm is None else ()
    return [replace(one, severity=degree) for degree in others if degree != one.severity]


def _is_absent(one: Finding) -> bool:
    return one.presence is Presence.ABSENT


def _absent(one: Finding) -> Finding:
    return Finding(one.name, Presence.ABSENT)


def made_up(name: str, generator: Generator) -> Finding:
    """A finding of this name as anybody might have it.

    Raises:
        KeyError: If it is none of `SORTS`.
    """
    sort = SORTS[name]
    side = Side.LEFT if chance(0.5, generator) else Side.RIGHT
    regions = sort.regions.get(side, ())
    degree = SEVERITIES[int(uniform(0, len(SEVERITIES), generator))]
    return Finding(
        name,
        side=side if sort.has_side else None,
        region=regions[int(uniform(0, len(regions), generator))] if regions else None,
        size_mm=_size(*sort.sizes, generator) if sort.sizes else None,
        severity=degree if sort.has_severity else None,
    )


def _other_sizes(one: Finding, sort: Sort, generator: Generator) -> list[float]:
    """A size that is clearly smaller, and one that is clearly larger, where there are any."""
    if one.size_mm is None or sort.sizes is None or one.severity:
        return []
    low, high = sort.sizes
    ranges = (low, one.size_mm / TELLING), (one.size_mm * TELLING, high)
    return [_size(*ends, generator) for ends in ranges if ends[0] <= ends[1]]


def _size(low: float, high: float, generator: Generator) -> float:
    """mm, whole; small ones as often as large ones."""
    return float(round(low * (high / low) ** uniform(0, 1, generator)))
