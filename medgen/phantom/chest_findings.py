"""Which diseases a simulated chest has: none, one or several, where they can be seen."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Generator

from medgen.finding import Side
from medgen.phantom import chest_disease as disease
from medgen.phantom.chest import Chest
from medgen.phantom.course import Moment, Visit
from medgen.phantom.fact import Disease
from medgen.phantom.field import chance, uniform
from medgen.phantom.part import LOBES, LUNGS, Part

MOST = 4  # findings of one patient
OFTEN = {  # how often each is drawn, relative to the others
    "pleural_effusion": 1.4,
    "pneumothorax": 1.0,
    "consolidation": 1.2,
    "atelectasis": 1.0,
    "nodule": 1.0,
    "mass": 0.7,
    "emphysema": 0.6,
    "oedema": 0.6,
    "fracture": 0.4,
    "device": 0.6,
}
LARGE_HEART = 0.25  # share of ill patients whose heart is enlarged
HIDDEN_ML, HIDDEN_SHARE = 500.0, 0.3  # effusion and pneumothorax that hide disease of their lung


Place = TypeVar("Place")


@dataclass
class _Room:
    """Where disease can still be seen."""

    sides: list[Side]  # without disease of the pleura
    lobes: list[Part]  # without disease of their own, not under water and not collapsed


def drawn_names(generator: Generator) -> list[str]:
    """One to four findings, each at most once; the heart's size is drawn apart."""
    weights = torch.tensor(list(OFTEN.values()))
    count = 1 + int(MOST * uniform(0, 1, generator) ** 1.5)
    chosen = torch.multinomial(weights, min(count, MOST), generator=generator)
    return [list(OFTEN)[at] for at in chosen.tolist()]


def diseases(chest: Chest, names: list[str], visit: Visit) -> Iterator[Disease]:
    """Put these findings into a chest; one that there is no room for is left out.

    Disease of the pleura comes last, over all that is in the lung, but takes its room first. Room
    is taken by the sizes that were drawn, so that both visits of a patient find as much.
    """
    room = _Room([Side.LEFT, Side.RIGHT], list(LOBES))

    def drawn(name: str, draw: Draw) -> Iterator[Disease]:
        for one in draw(chest, room, visit.generators(name), visit.moment(name)):
            yield visit.seen(name, one)

    over = [one for name, draw in PLEURAL.items() if name in names for one in drawn(name, draw)]
    for name in names:
        if name not in PLEURAL:
            yield from drawn(name, OTHERS[name])
    yield from over


def _effusion(chest: Chest, room: _Room, generator: Generator, moment: Moment) -> Iterator[Disease]:
    if not room.sides:
        return
    sides = [_taken(room.sides, generator)]
    if room.sides and chance(0.2, generator):
        sides.append(room.sides.pop())
    for side in sides:
        volume = _scaled(50, 1500, generator)
        covers = [lobe for lobe in LUNGS[side] if volume > HIDDEN_ML or LOBES[lobe] == "lower_lobe"]
        room.lobes = [lobe for lobe in room.lobes if lobe not in covers]
        lung = chest.lung(side)
        most = disease.FULLEST * lung.voxels * lung.spacing**3 / 1000
        yield disease.effusion(chest, side, moment.size(volume, 50, min(1500, most)))


def _pneumothorax(
    chest: Chest, room: _Room, generator: Generator, moment: Moment
) -> Iterator[Disease]:
    if not room.sides:
        return
    side = _taken(room.sides, generator)
    share = _scaled(0.05, 0.6, generator)
    if share > HIDDEN_SHARE:
        room.lobes = [lobe for lobe in room.lobes if lobe not in LUNGS[side]]
    yield disease.pneumothorax(chest, side, moment.size(share, 0.05, 0.6))


def _consolidation(
    chest: Chest, room: _Room, generator: Generator, moment: Moment
) -> Iterator[Disease]:
    if room.lobes:
        lobe = _taken(room.lobes, generator)
        share = moment.size(uniform(0.15, 0.9, generator), 0.15, 0.9)
        yield disease.consolidation(chest, lobe, share, generator)


def _atelectasis(
    chest: Chest, room: _Room, generator: Generator, moment: Moment
) -> Iterator[Disease]:
    if room.lobes:
        lobe = _taken(room.lobes, generator)
        share = moment.size(uniform(0.12, 0.8, generator), 0.12, 0.8)
        yield disease.atelectasis(chest, lobe, share, generator)


def _nodule(chest: Chest, room: _Room, generator: Generator, moment: Moment) -> Iterator[Disease]:
    if room.lobes:
        lobe = _taken(room.lobes, generator)
        yield _lump(chest, lobe, (4, 30), generator, moment)


def _mass(chest: Chest, room: _Room, generator: Generator, moment: Moment) -> Iterator[Disease]:
    if room.lobes:
        lobe = _taken(room.lobes, generator)
        yield _lump(chest, lobe, (31, 70), generator, moment)


def _lump(
    chest: Chest, lobe: Part, ends: tuple[float, float], generator: Generator, moment: Moment
) -> Disease:
    """A nodule or mass of a diameter between the ends, mm; one that grows stays where it is."""
    drawn = uniform(*ends, generator)
    size, largest = moment.size(drawn, *ends), moment.largest(drawn, *ends)
    return disease.nodule(chest, lobe, size, generator, room_mm=largest)


def _emphysema(
    chest: Chest, room: _Room, generator: Generator, moment: Moment
) -> Iterator[Disease]:
    share = moment.size(uniform(0.12, 0.6, generator), 0.12, 0.6)
    yield disease.emphysema(chest, share, generator)


def _oedema(chest: Chest, room: _Room, generator: Generator, moment: Moment) -> Iterator[Disease]:
    yield disease.oedema(chest, moment.size(uniform(0.14, 0.55, generator), 0.14, 0.55))


def _fracture(chest: Chest, room: _Room, generator: Generator, moment: Moment) -> Iterator[Disease]:
    yield disease.fracture(chest, _a_side(generator), generator)


def _device(chest: Chest, room: _Room, generator: Generator, moment: Moment) -> Iterator[Disease]:
    side = Side.LEFT if chance(0.7, generator) else Side.RIGHT
    yield disease.pacemaker(chest, side, generator)


Draw = Callable[[Chest, _Room, Generator, Moment], Iterator[Disease]]
PLEURAL: dict[str, Draw] = {"pleural_effusion": _effusion, "pneumothorax": _pneumothorax}
OTHERS: dict[str, Draw] = {
    "emphysema": _emphysema,
    "oedema": _oedema,
    "consolidation": _consolidation,
    "atelectasis": _atelectasis,
    "nodule": _nodule,
    "mass": _mass,
    "fracture": _fracture,
    "device": _device,
}


def _taken(places: list[Place], generator: Generator) -> Place:
    """One of the places, which is then taken."""
    return places.pop(int(uniform(0, len(places), generator)))


def _a_side(generator: Generator) -> Side:
    return Side.LEFT if chance(0.5, generator) else Side.RIGHT


def _scaled(low: float, high: float, generator: Generator) -> float:
    """Between the two, as often small as large: uniform in the logarithm."""
    return low * (high / low) ** uniform(0, 1, generator)
