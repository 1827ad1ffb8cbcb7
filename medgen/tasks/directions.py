"""Which modality a model can make of which, by the parts that it has."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from medgen.checkpoint import Card
from medgen.modality import Kind, Modality

TRANSLATOR, FINDER = "translator", "finder"
ANYTHING = (Modality.TEXT, Modality.XRAY, Modality.CT, Modality.MRI)
SCANS = (Modality.CT, Modality.MRI)


@dataclass(frozen=True)
class Direction:
    """One cell of the matrix.

    Attributes:
        source: What is given.
        target: What is made of it.
        command: What makes it, as it is typed.
    """

    source: Modality
    target: Modality
    command: str


def directions_of(card: Card) -> list[Direction]:
    """All that a model can do."""
    finder = card.parts.get(FINDER)
    shape = finder.config["finder"] if finder else {}
    kinds = [Kind.parse(one) for one in shape.get("kinds", ())]
    return directions(card.parts, reads=dict.fromkeys(kind.modality for kind in kinds))


def directions(parts: Collection[str], reads: Collection[Modality] = ()) -> list[Direction]:
    """All that a model with these parts can do, whose finder reads images of some modalities.

    Example:
        >>> [f"{one.source} to {one.target}" for one in directions(["translator"])]
        ['ct to xray', 'ct to mri', 'mri to xray', 'mri to ct', 'mri to mri']
    """
    found = [*_translations(parts), *_generations(parts), *_within(parts)]
    found += [Direction(source, Modality.TEXT, "report") for source in reads]
    return sorted(found, key=lambda one: (ANYTHING.index(one.source), ANYTHING.index(one.target)))


def _translations(parts: Collection[str]) -> Iterator[Direction]:
    """By the local translator, by flows that hear each other, and by physics."""
    if TRANSLATOR in parts:
        yield Direction(Modality.CT, Modality.XRAY, "translate")  # by physics: needs no model
        yield Direction(Modality.MRI, Modality.XRAY, "translate")  # through CT
        yield Direction(Modality.CT, Modality.MRI, "translate")
        yield Direction(Modality.MRI, Modality.CT, "translate")
        yield Direction(Modality.MRI, Modality.MRI, "translate")
    if all(f"{kind}-{one}" in parts for kind in ("flow", "listener") for one in SCANS):
        for source, target in (SCANS, SCANS[::-1]):
            yield Direction(source, target, "translate --engine flow")


def _within(parts: Collection[str]) -> Iterator[Direction]:
    """By what a flow has learned to take from images of its own modality, or to make finer."""
    for one in ANYTHING:
        if f"flow-{one}" in parts and f"instruct-{one}" in parts:
            yield Direction(one, one, "generate --ref")
        if f"flow-{one}" in parts and f"refine-{one}" in parts:
            yield Direction(one, one, "generate --refine")


def _generations(parts: Collection[str]) -> Iterator[Direction]:
    """By a flow of the target, told what an encoder of the source says."""
    for target in ANYTHING:
        if target is Modality.TEXT or f"flow-{target}" not in parts:
            continue
        for source in ANYTHING:
            if source is not target and str(source) in parts:
                how = "generate --text" if source is Modality.TEXT else "generate --from"
                yield Direction(source, target, how)
