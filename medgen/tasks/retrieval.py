"""Retrieval: do the encoders of a model find, for each study, what belongs to it?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from medgen import __version__
from medgen.align.central import Given
from medgen.data.manifest import read_manifest
from medgen.data.study import Split
from medgen.encoders.text import TextEncoder
from medgen.errors import InputError
from medgen.metrics.phrases import load_phrases
from medgen.metrics.retrieval import Agreement, agreement
from medgen.modality import Modality
from medgen.tasks.align_model import LoadedAligner, load_aligner
from medgen.tasks.align_studies import ReadStudy, read_studies
from medgen.tasks.device import choose_device
from medgen.tasks.document import to_document

BATCH = 8


@dataclass(frozen=True)
class RetrievalConfig:
    """What is retrieved, among how many."""

    model: str  # encoders, by name or folder
    split: Split | None = None  # only these studies of the manifest; None: all
    gallery: int = 100  # studies to find the right one among
    max_bad: float = 0.05  # share of the studies that may be unreadable
    allow_outside: bool = False  # the manifest may name files outside its folder
    device: str = "auto"


@dataclass(frozen=True)
class Embedded:
    """The embeddings of a manifest's studies.

    Attributes:
        ids: Of the studies.
        groups: Studies of one group have reports that say the same is there.
        vectors: By modality; NaN for a study without it.
    """

    ids: tuple[str, ...]
    groups: tuple[int, ...]
    vectors: dict[Modality, Float[np.ndarray, "studies embedding"]]


@dataclass(frozen=True)
class RetrievalReport:
    """What was found.

    Attributes:
        medgen: Version that computed it.
        model: Name and version of the encoders.
        studies: How many were embedded.
        pairs: By pair, as `text-ct`, of modalities that two or more studies have together.
    """

    medgen: str
    model: str
    studies: int
    pairs: dict[str, Agreement]

    def to_json(self) -> str:
        """One JSON document."""
        return to_document(self)


def evaluate_retrieval(manifest: Path, config: RetrievalConfig) -> RetrievalReport:
    """Embed the studies of a manifest and let every modality look for every other.

    Raises:
        InputError: If the manifest is wrong, or no two studies have two modalities in common.
        ModelError: If the model has no encoders.
    """
    loaded = load_aligner(config.model, choose_device(config.device))
    found = embed(loaded, _studies(manifest, loaded, config))
    pairs = {}
    for one, other in combinations(Modality, 2):
        both = ~np.isnan(found.vectors[one][:, 0]) & ~np.isnan(found.vectors[other][:, 0])
        if both.sum() >= 2:
            pairs[f"{one}-{other}"] = agreement(
                found.vectors[one][both],
                found.vectors[other][both],
                groups=np.array(found.groups)[both],
                gallery=config.gallery,
            )
    if not pairs:
        raise InputError(f"{manifest}: no two studies have two modalities in common")
    card = loaded.card
    return RetrievalReport(__version__, f"{card.name} {card.version}", len(found.ids), pairs)


def embed(loaded: LoadedAligner, studies: Iterator[ReadStudy] | Sequence[ReadStudy]) -> Embedded:
    """Embed every report and the first image of each modality; a few studies are held at a time."""
    ids: list[str] = []
    groups: list[int] = []
    rows: dict[Modality, list[np.ndarray]] = {name: [] for name in Modality}
    left = iter(studies)
    while some := list(islice(left, BATCH)):
        ids += [study.id for study in some]
        groups += [study.group for study in some]
        for name in Modality:
            rows[name].append(_embedded(loaded, name, some))
    width = loaded.aligner.embedding
    vectors = {
        name: np.concatenate(parts) if parts else np.empty((0, width), np.float32)
        for name, parts in rows.items()
    }
    return Embedded(tuple(ids), tuple(groups), vectors)


def _embedded(
    loaded: LoadedAligner, name: Modality, studies: Sequence[ReadStudy]
) -> Float[np.ndarray, "studies embedding"]:
    vectors = np.full((len(studies), loaded.aligner.embedding), np.nan, np.float32)
    device = loaded.aligner.temperature.log_scale.device
    if name is Modality.TEXT:
        here = [at for at, study in enumerate(studies) if study.text]
        texts = [studies[at].text or "" for at in here]
        encoder = loaded.aligner.encoders[name]
        assert isinstance(encoder, TextEncoder)
        given = loaded.tokenizer.encode(texts, max_tokens=encoder.config.max_tokens).ids
    else:
        here = [at for at, study in enumerate(studies) if name in study.images]
        images = [studies[at].images[name][0].float() for at in here]
        given = torch.stack(images) if images else torch.empty(0)
    if here:
        present = torch.ones(len(here), dtype=torch.bool, device=device)
        with torch.inference_mode():
            embedded = loaded.aligner({name: Given(given.to(device), present)})[name]
        vectors[here] = embedded.rows.cpu().numpy()
    return vectors


def _studies(manifest: Path, loaded: LoadedAligner, config: RetrievalConfig) -> Iterator[ReadStudy]:
    listed = read_manifest(manifest, allow_outside=config.allow_outside)
    chosen = [study for study in listed if config.split in (None, study.split)]
    if not chosen:
        raise InputError(f"{manifest}: has no study of split {config.split}")
    yield from read_studies(chosen, loaded.standard, load_phrases(), max_bad=config.max_bad)
