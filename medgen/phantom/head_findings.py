"""Which diseases a simulated head has: none, one or several, each in a place of its own."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Generator, Tensor

from medgen.finding import Side
from medgen.phantom import head_disease as disease
from medgen.phantom.course import Visit
from medgen.phantom.fact import Disease, Fact
from medgen.phantom.field import chance, uniform
from medgen.phantom.head_disease import REGIONS, Head

MOST = 3  # findings of one patient, those that come with others not counted
OFTEN = {  # how often each is drawn, relative to the others
    "haemorrhage": 1.2,
    "infarct": 1.2,
    "brain_mass": 1.2,
    "calcification": 0.7,
    "ventriculomegaly": 0.8,
    "atrophy": 0.8,
}
NAMES = (*OFTEN, "brain_oedema", "midline_shift")
LARGE_MM = 32.0  # lumps of this size may push the midline
PUSHES = 0.6  # share of large lumps that do
Place = tuple[Side, str]


@dataclass(frozen=True)
class IllHead:
    """A head and what is wrong with it.

    Attributes:
        tissue: `Tissue` of each voxel; as before, unless the midline is shifted.
        diseases: What comes over it.
        facts: All of them.
    """

    tissue: UInt8[Tensor, "i j k"]
    diseases: tuple[Disease, ...]
    facts: tuple[Fact, ...]


def drawn_names(generator: Generator) -> list[str]:
    """One to three findings, each at most once."""
    weights = torch.tensor(list(OFTEN.values()))
    count = min(MOST, 1 + int(MOST * uniform(0, 1, generator) ** 1.7))
    chosen = torch.multinomial(weights, count, generator=generator)
    return [list(OFTEN)[at] for at in chosen.tolist()]


def fallen_ill(
    tissue: UInt8[Tensor, "i j k"], spacing: float, names: list[str], visit: Visit
) -> IllHead:
    """Put these findings into a head; a place that the image does not show is not chosen.

    Args:
        tissue: `Tissue` of each voxel.
        spacing: Voxel size, mm.
        names: From `OFTEN`.
        visit: Source of places, sizes and shapes, and when it is.
    """
    head = Head.of(tissue, spacing)
    places = [
        (side, region)
        for side in (Side.LEFT, Side.RIGHT)
        for region in REGIONS
        if head.region(side, region).any()
    ]
    facts: list[Fact] = []
    is_pushed = False
    plans: list[tuple[str, Place | None, float]] = []
    for name in names:
        generator, moment = visit.generators(name), visit.moment(name)
        low, high = SIZES[name]
        drawn = low * (high / low) ** uniform(0, 1, generator)  # small ones as often as large ones
        place, size, largest = None, moment.size(drawn, low, high), moment.largest(drawn, low, high)
        if name in LOCAL:
            if not places:
                continue
            place = places.pop(int(uniform(0, len(places), generator)))
            if place[1] in ("basal_ganglia", "cerebellum"):
                size, largest = 0.6 * size, 0.6 * largest
            is_large = name in PUSHING and largest > LARGE_MM
            if is_large and not is_pushed and chance(PUSHES, generator):
                is_pushed = True
                shift = uniform(0.12, 0.26, generator) * size
                pushed, fact = disease.shifted(head, place[0], shift)
                facts += visit.seen(name, Disease((), (fact,))).facts
                if moment.is_there:
                    tissue, head = pushed, Head.of(pushed, spacing)
        plans.append((name, place, size))
    # Fluid first: lumps lie over it.
    plans.sort(key=lambda plan: plan[1] is not None)
    found = [
        visit.seen(plan[0], _made(head, *plan, visit.generators(f"{plan[0]} itself")))
        for plan in plans
    ]
    facts = [fact for one in found for fact in one.facts] + facts
    return IllHead(tissue, tuple(found), tuple(facts))


def _made(head: Head, name: str, place: Place | None, size: float, generator: Generator) -> Disease:
    if place is None:
        return DIFFUSE[name](head, size)
    return LOCAL[name](head, *place, size, generator)


def _tumour(head: Head, side: Side, region: str, size: float, generator: Generator) -> Disease:
    oedema = uniform(0, 14, generator)
    return disease.tumour(head, side, region, size, oedema, generator)


SIZES = {  # mm, but ml of an infarct
    "haemorrhage": (8.0, 55.0),
    "infarct": (2.0, 110.0),
    "brain_mass": (8.0, 55.0),
    "calcification": (4.0, 14.0),
    "ventriculomegaly": (2.0, 7.0),
    "atrophy": (0.8, 2.6),
}
LOCAL: dict[str, Callable[[Head, Side, str, float, Generator], Disease]] = {
    "haemorrhage": disease.haemorrhage,
    "infarct": disease.infarct,
    "brain_mass": _tumour,
    "calcification": disease.calcification,
}
DIFFUSE: dict[str, Callable[[Head, float], Disease]] = {
    "ventriculomegaly": disease.ventriculomegaly,
    "atrophy": disease.atrophy,
}
PUSHING = ("haemorrhage", "brain_mass")
