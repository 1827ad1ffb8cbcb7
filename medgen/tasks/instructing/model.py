"""What reads references for a flow, as a part of a model folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from medgen.checkpoint import Card, verify
from medgen.config import check_least, check_parts, from_mapping
from medgen.errors import ModelError
from medgen.instruct.instruction import Role
from medgen.instruct.reader import Reader, ReaderConfig
from medgen.instruct.tasks import COMBINATIONS
from medgen.modality import Modality
from medgen.tasks.flows.flow import Flow
from medgen.tasks.instructing.slots import slot_channels
from medgen.tasks.model_parts import filled, save_beside


@dataclass(frozen=True)
class ReaderShape:
    """The size of a new reader; what the flow decides is left out."""

    width: int = 128
    layers: int = 2
    heads: int = 4
    raw: bool = False  # references as channels, without an encoder: a baseline

    def __post_init__(self) -> None:
        """Raises UsageError for a network that cannot be built."""
        check_parts("heads", self.heads, [self.width])
        check_least(self, 1, "layers")


def reader_part(modality: Modality) -> str:
    """Name of a reader in a model folder."""
    return f"instruct-{modality}"


def new_reader(flow: Flow, shape: ReaderShape, findings: tuple[str, ...]) -> Reader:
    """A reader that fits a flow, and has learned nothing."""
    config = ReaderConfig(
        axes=len(flow.config.grid),
        features=flow.config.widths[-1],
        width=shape.width,
        layers=shape.layers,
        heads=shape.heads,
        findings=findings,
        raw=slot_channels(flow.config) if shape.raw else 0,
    )
    return Reader(config)


def shape_of(reader: Reader) -> ReaderShape:
    """The size of a reader."""
    own = reader.config
    return ReaderShape(own.width, own.layers, own.heads, bool(own.raw))


def roles_taught(card: Card, modality: Modality) -> set[Role]:
    """What the reader of a modality has learned to take from references; all, if nobody says."""
    runs = card.extra.get(f"training-{reader_part(modality)}", ())
    roles = {
        role for run in runs for name in run.get("tasks", ()) for role in COMBINATIONS.get(name, ())
    }
    if any("context" in run.get("config", {}) for run in runs):  # of a round of retrieval
        roles.add(Role.CONTEXT)
    return roles or set(Role)


def load_reader(model: Path, modality: Modality) -> Reader | None:
    """The reader of a model's flow, in eval mode; None where it has none.

    Raises:
        ModelError: If it is damaged or does not fit.
    """
    card = verify(model)
    name = reader_part(modality)
    if name not in card.parts:
        return None
    config = from_mapping(ReaderConfig, card.parts[name].config, origin=name)
    return filled(Reader(config), model, card, name).eval()


def check_reads(model: str, readers: Mapping[Modality, Reader], modality: Modality) -> Reader:
    """The reader of a modality.

    Raises:
        ModelError: If the model has none.
    """
    if modality not in readers:
        raise ModelError(
            f"{model}: its flow of {modality} never learned to read references; "
            f"train it: --round instruct --set modality={modality}"
        )
    return readers[modality]


def save_reader(
    folder: Path,
    card: Card,
    modality: Modality,
    config: ReaderConfig,
    state: Mapping[str, Tensor],
    *,
    beside: Path,
) -> Card:
    """Write a reader with all that another model has; an older one of its flow is replaced."""
    return save_beside(folder, card, reader_part(modality), config, state, beside=beside)
