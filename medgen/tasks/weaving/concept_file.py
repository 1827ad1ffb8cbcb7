"""A concept as one file: its weights, and its card."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medgen.checkpoint import Card, starts_as_pickle
from medgen.concepts.concept import Concept
from medgen.config import from_mapping, to_mapping
from medgen.errors import InputError, ModelError, SafetyError, UsageError
from medgen.io.atomic import atomic_file
from medgen.modality import Kind, Modality
from medgen.tasks.flows.model import flow_part
from medgen.tasks.weaving.concept_card import ENDING, ConceptCard

MOST_BYTES = 2_000_000
CARD = "card"  # key of the file's metadata


@dataclass(frozen=True)
class LoadedConcept:
    """A concept and its card.

    Attributes:
        concept: Its weights, on the CPU.
        card: What it is.
        sha256: Of the file.
    """

    concept: Concept
    card: ConceptCard
    sha256: str


def base_of(card: Card, modality: Modality) -> str:
    """What names the flow that a concept belongs to: the hash of its weights."""
    return card.parts[flow_part(modality)].sha256


def save_concept(
    concept: Concept, card: ConceptCard, path: Path, *, overwrite: bool = False
) -> Path:
    """Write a concept, half precision, whole or not at all.

    Changes of keys and values that would make it larger than `MOST_BYTES` are written as the
    product of two thin matrices, as thin as it takes.

    Raises:
        UsageError: If the name does not end in `.concept`.
        OutputError: If it exists or cannot be written.
    """
    from safetensors.torch import save

    if path.suffix != ENDING:
        raise UsageError(f"{path}: the file of a concept ends in {ENDING}")
    state = {name: one.detach().cpu() for name, one in concept.state_dict().items()}
    metadata = {CARD: json.dumps(to_mapping(card), ensure_ascii=False)}
    data = save(_packed(state), metadata)
    with atomic_file(path, overwrite=overwrite) as draft:
        draft.write_bytes(data)
    return path


def load_concept(path: Path) -> LoadedConcept:
    """Read a concept.

    Raises:
        InputError: If there is no such file, or it is no concept.
        SafetyError: If it is a pickle.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        data = path.read_bytes() if path.stat().st_size <= 2 * MOST_BYTES else b""
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if starts_as_pickle(data):
        raise SafetyError(f"{path}: is a pickle, which can run code; medgen opens safetensors only")
    try:
        length = int.from_bytes(data[:8], "little")
        card = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][CARD])
        state = _unpacked(load(data))
        known = from_mapping(ConceptCard, card, origin=str(path))
        shapes = {
            name.removeprefix("keys."): (one.shape[0], one.shape[1])
            for name, one in state.items()
            if name.startswith("keys.")
        }
        concept = Concept(state["said"], shapes)
        concept.load_state_dict(state)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, UsageError):
        raise InputError(
            f"{path}: is no concept, or damaged; make one with `medgen weave learn`"
        ) from None
    return LoadedConcept(concept.eval(), known, hashlib.sha256(data).hexdigest())


def check_kind(loaded: LoadedConcept, path: Path, kind: Kind) -> None:
    """Refuse a concept that belongs to other scans.

    Raises:
        InputError: If it was learned of another modality, view or contrast.
    """
    own = Kind.parse(loaded.card.kind)
    is_other = (own.modality, own.view) != (kind.modality, kind.view)
    if is_other or (own.contrast and kind.contrast and own.contrast is not kind.contrast):
        raise InputError(f"{path}: is a concept of {own}, and the scan is {kind}; learn one of it")


def check_base(loaded: LoadedConcept, path: Path, card: Card, kind: Kind) -> None:
    """Refuse a concept that belongs to another model.

    Raises:
        ModelError: If it was learned on another flow.
    """
    if loaded.card.base != base_of(card, kind.modality):
        raise ModelError(
            f"{path}: was learned on another model than {card.name}; "
            "name that --model, or learn the concept again"
        )


def _packed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Half precision, and few enough bytes."""
    room = MOST_BYTES - 100_000  # for the card and the rest
    changes = {name: one for name, one in state.items() if one.ndim == 2}
    others = {name: one.half().contiguous() for name, one in state.items() if one.ndim != 2}
    if 2 * sum(one.numel() for one in changes.values()) <= room:
        return others | {name: one.half().contiguous() for name, one in changes.items()}
    rank = max(1, room // (2 * sum(sum(one.shape) for one in changes.values())))
    for name, one in changes.items():
        left, sizes, right = torch.linalg.svd(one.float(), full_matrices=False)
        root = sizes[:rank].sqrt()
        others[f"{name}.left"] = (left[:, :rank] * root).half().contiguous()
        others[f"{name}.right"] = (root[:, None] * right[:rank]).half().contiguous()
    return others


def _unpacked(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    whole = {
        name: one.float() for name, one in state.items() if not name.endswith((".left", ".right"))
    }
    for name, one in state.items():
        if name.endswith(".left"):
            stem = name.removesuffix(".left")
            whole[stem] = one.float() @ state[f"{stem}.right"].float()
    return whole
