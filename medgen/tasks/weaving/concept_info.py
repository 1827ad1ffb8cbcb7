"""What a concept's file says about itself, in units that a reader knows."""

from dataclasses import dataclass
from pathlib import Path

from medgen.checkpoint import bundled_models, read_card
from medgen.data.intensity import HOUNSFIELD
from medgen.modality import Kind, Modality
from medgen.tasks.weaving.bank import Bank
from medgen.tasks.weaving.concept_card import ConceptCard


@dataclass(frozen=True)
class Typical:
    """A number of the examples: its mean over them, and one standard deviation."""

    mean: float
    spread: float


@dataclass(frozen=True)
class ConceptFacts:
    """What a concept is.

    Attributes:
        card: As it stands in the file.
        looks: Mean, deviation and contrast of the examples' regions, by these names.
        unit: Of the looks: `HU`, or `of -1 to 1` where every scan has a window of its own.
        layers: Of cross-attention whose keys and values it changes.
        model: Name of the bundled model that it was learned on; None for any other.
        bytes: Of the file.
        sha256: Of the file.
    """

    card: ConceptCard
    looks: dict[str, Typical]
    unit: str
    layers: int
    model: str | None
    bytes: int
    sha256: str


def concept_facts(path: Path) -> ConceptFacts:
    """Look into a concept's file.

    Raises:
        InputError: If there is no such file, or it is no concept.
        SafetyError: If it is a pickle.
    """
    from medgen.tasks.weaving.concept_file import load_concept  # torch takes a while

    loaded = load_concept(path)
    card = loaded.card
    is_ct = Kind.parse(card.kind).modality is Modality.CT
    return ConceptFacts(
        card=card,
        looks=_in_hu(card.bank) if is_ct else _as_kept(card.bank),
        unit="HU" if is_ct else "of -1 to 1",
        layers=len(loaded.concept.keys),
        model=_bundled(card),
        bytes=path.stat().st_size,
        sha256=loaded.sha256,
    )


def _as_kept(bank: Bank) -> dict[str, Typical]:
    mean, spread = bank.mean, bank.spread
    return {
        "mean": Typical(mean.mean, spread.mean),
        "deviation": Typical(mean.deviation, spread.deviation),
        "contrast": Typical(mean.contrast, spread.contrast),
    }


def _in_hu(bank: Bank) -> dict[str, Typical]:
    half = (HOUNSFIELD.high - HOUNSFIELD.low) / 2
    looks = {
        name: Typical(half * one.mean, half * one.spread) for name, one in _as_kept(bank).items()
    }
    middle = HOUNSFIELD.low + half  # contrast and deviation are differences; a mean is none
    return looks | {"mean": Typical(middle + looks["mean"].mean, looks["mean"].spread)}


def _bundled(card: ConceptCard) -> str | None:
    """The bundled model whose flow has the digest of the concept's base."""
    for name, folder in bundled_models().items():
        if card.base in {part.sha256 for part in read_card(folder).parts.values()}:
            return name
    return None
