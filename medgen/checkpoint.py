"""A model is a folder: a card that says what it is, and one safetensors file per part."""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medgen.config import config_hash, from_mapping, to_mapping
from medgen.errors import ModelError, SafetyError, UsageError
from medgen.io.atomic import atomic_folder
from medgen.packing import pack, unpack

CARD_FILE = "model.json"
WEIGHTS = Path(__file__).parent / "weights"
PICKLE_SUFFIXES = {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib"}
PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # torch, pickle
MAX_CARD_BYTES = 1_000_000


@dataclass(frozen=True)
class Part:
    """One network of a model.

    Attributes:
        file: Name of its safetensors file, beside the card.
        sha256: Hash of that file.
        parameters: How many numbers it has.
        config: What its network is built from.
    """

    file: str
    sha256: str
    parameters: int
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingRange:
    """What a model has seen; outside it, nobody knows what it does.

    Attributes:
        spacing_mm: Smallest and largest voxel spacing of the inputs.
        fov_mm: Smallest and largest extent of the inputs.
        intensity: Lowest and highest value by kind (`ct` in HU), before normalisation.
        anatomy: Body regions: `head`, `thigh`.
    """

    spacing_mm: tuple[float, float]
    fov_mm: tuple[float, float]
    intensity: dict[str, tuple[float, float]] = field(default_factory=dict)
    anatomy: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataUse:
    """Data that a model was trained on, and the words its licence asks for."""

    name: str
    licence: str
    attribution: str = ""


@dataclass(frozen=True)
class Measurement:
    """A figure that was measured: what, on which data, when (ISO date)."""

    name: str
    value: float
    unit: str
    data: str
    date: str


@dataclass(frozen=True)
class Card:
    """What a model is.

    Attributes:
        name: What `--model` and `medgen models show` call it.
        version: Of the weights; a change of any part changes it.
        task: The verb it serves: `translate`.
        summary: One sentence: what it turns into what.
        intended_use: What it is for, and what it is not for.
        licence: SPDX identifier of the weights' own licence.
        parts: Its networks by name.
        training_range: What its inputs may look like; None for a model that takes no image.
        data: What it was trained on.
        metrics: What it achieved.
        steps: Training steps of what was trained last, those of its ancestors included.
        lineage: Digests of the cards it was started from, oldest first.
        extra: Whatever a task wants to remember.
    """

    name: str
    version: str
    task: str
    summary: str = ""
    intended_use: str = "Research. Not for clinical use."
    licence: str = ""
    parts: dict[str, Part] = field(default_factory=dict)
    training_range: TrainingRange | None = None
    data: tuple[DataUse, ...] = ()
    metrics: tuple[Measurement, ...] = ()
    steps: int = 0
    lineage: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 that names this card and, through the parts' hashes, every weight."""
        return config_hash(self)


def bundled_models() -> dict[str, Path]:
    """Folders of the models that come with medgen, by name."""
    return {card.parent.name: card.parent for card in sorted(WEIGHTS.glob(f"*/{CARD_FILE}"))}


def model_folder(name: str | Path) -> Path:
    """What `--model` means: a bundled model's name, or any other folder.

    Raises:
        ModelError: If it is neither.
        SafetyError: If it is a pickle.
    """
    bundled = bundled_models()
    if str(name) in bundled:
        return bundled[str(name)]
    path = Path(name)
    if path.is_file() and _is_pickle(path):
        raise SafetyError(f"{path}: is a pickle, which can run code; medgen opens safetensors only")
    if not path.is_dir():
        known = ", ".join(bundled) or "none"
        raise ModelError(f"{path}: no such model folder; bundled models: {known}")
    return path


def read_card(folder: Path) -> Card:
    """Read a model's card, and check that it is as it was written.

    Raises:
        ModelError: If it is missing, damaged or not a card.
    """
    path = folder / CARD_FILE
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise ModelError(f"{path}: is larger than {MAX_CARD_BYTES} bytes; not a model card")
        values = json.loads(path.read_text(encoding="utf-8"))
        digest = values.pop("digest")
        card = from_mapping(Card, values, origin=str(path))
    except FileNotFoundError:
        raise ModelError(f"{folder}: has no {CARD_FILE}; is it a medgen model?") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError):
        raise ModelError(f"{path}: damaged, or not a medgen model card; copy it again") from None
    if card.digest != digest:
        raise ModelError(f"{path}: damaged or edited by hand (digest); copy the model again")
    return card


def verify(folder: Path) -> Card:
    """Check every byte of a model before any of it is used.

    Raises:
        ModelError: If a file is missing, damaged, or not where a part may be.
        SafetyError: If the folder holds a pickle.
    """
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_file() and _is_pickle(path):
            raise SafetyError(f"{path}: is a pickle, which can run code; remove it")
    card = read_card(folder)
    for name in card.parts:
        _part_bytes(folder, card, name)
    return card


def load_part(folder: Path, card: Card, name: str) -> dict[str, Any]:
    """Tensors of a part by name, checked against the card; fp32, on the CPU.

    Raises:
        ModelError: If the card has no such part, or the file, or that of a part that shares a
            tensor with it, is missing or damaged.
        SafetyError: If the file is a pickle.
    """
    data = _part_bytes(folder, card, name)
    source = folder / card.parts[name].file
    return unpack(data, lambda other: _part_bytes(folder, card, other), source)


def save_model(
    folder: Path,
    card: Card,
    parts: Mapping[str, Any],
    *,
    configs: Mapping[str, Mapping[str, Any]] | None = None,
    overwrite: bool = False,
) -> Card:
    """Write a model folder, whole or not at all.

    Args:
        folder: Where the model will be.
        card: Everything but `parts`, which is filled in here.
        parts: A module, or its state dict, by name of the part. Stored in fp16; a tensor that
            several parts have is stored once.
        configs: What each part's network is built from.
        overwrite: Replace an older model of the same parts; files beside them, such as a
            training log, stay.

    Returns:
        The card as it was written.

    Raises:
        ModelError: If a weight is not finite in fp16.
        OutputError: If the folder is taken, or cannot be written.
    """
    packed = pack(parts)
    entries = {
        name: Part(
            file=f"{name}.safetensors",
            sha256=hashlib.sha256(one.data).hexdigest(),
            parameters=one.parameters,
            config=dict((configs or {}).get(name, {})),
        )
        for name, one in packed.items()
    }
    # Through JSON once, so that the card in memory is the card that will be read.
    plain = json.loads(_card_text(dataclasses.replace(card, parts=entries)))
    plain.pop("digest")
    card = from_mapping(Card, plain, origin="card")
    files = {entries[name].file: one.data for name, one in packed.items()}
    files[CARD_FILE] = _card_text(card).encode()
    with atomic_folder(folder, overwrite=overwrite) as draft:
        for name, data in files.items():
            (draft / name).write_bytes(data)
        for old in folder.iterdir() if folder.is_dir() else []:
            if old.is_file() and old.name not in files and old.suffix != ".safetensors":
                shutil.copy2(old, draft / old.name)
    return card


def _card_text(card: Card) -> str:
    values = to_mapping(card) | {"digest": card.digest}
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _part_bytes(folder: Path, card: Card, name: str) -> bytes:
    if name not in card.parts:
        raise ModelError(f"{folder}: has no part '{name}'; its parts: {', '.join(card.parts)}")
    part = card.parts[name]
    path = folder / part.file
    if Path(part.file).name != part.file or path.suffix != ".safetensors":
        raise ModelError(f"{folder / CARD_FILE}: '{part.file}' is not a file beside it")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}); copy the model again"
        ) from None
    if starts_as_pickle(data):
        raise SafetyError(f"{path}: is a pickle, which can run code; medgen opens safetensors only")
    if hashlib.sha256(data).hexdigest() != part.sha256:
        raise ModelError(f"{path}: damaged (sha256 differs from the card); copy the model again")
    return data


def _is_pickle(path: Path) -> bool:
    if path.suffix.lower() in PICKLE_SUFFIXES:
        return True
    with path.open("rb") as file:
        return starts_as_pickle(file.read(9))


def starts_as_pickle(data: bytes) -> bool:
    """Whether the first bytes of a file are those of a pickle, or of what torch packs one in."""
    # Byte 8 of safetensors opens its JSON; the bytes before are a length, and can be anything.
    return data.startswith(PICKLE_STARTS) and data[8:9] != b"{"
