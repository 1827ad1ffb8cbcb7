"""Retrieval: do the encoders of a model find, for each study, what belongs to it?"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float

from medgen import __version__
from medgen.align.central import Given
from medgen.data.manifest import read_manifest
from medgen.data.study import Split
from medgen.encoders.text import TextEncoder
from medgen.errors import InputError
from medgen.metrics.choice import Choice, choice
from medgen.metrics.phrases import load_phrases
from medgen.metrics.retrieval import Agreement, agreement
from medgen.modality import Modality
from medgen.tasks.aligning.model import LoadedAligner, load_aligner
from medgen.tasks.device import choose_device
from medgen.tasks.document import to_document
from medgen.tasks.studies import IMAGES, ReadStudy, read_studies

LOG = logging.getLogger(__name__)
BATCH = 8
SIZES_MM = (10, 20, 40)  # ends of the classes of lesions


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
        sizes: The largest size in each report, in words.
        margins: By image and change: similarity to the true text minus that to the false one.
        unseen: Of each report: share of the words that the text encoder never read.
    """

    ids: tuple[str, ...]
    groups: tuple[int, ...]
    vectors: dict[Modality, Float[np.ndarray, "studies embedding"]]
    sizes: tuple[str, ...]
    margins: dict[str, dict[str, list[float]]]
    unseen: tuple[float, ...]


@dataclass(frozen=True)
class RetrievalReport:
    """What was found.

    Attributes:
        medgen: Version that computed it.
        model: Name and version of the encoders.
        studies: How many were embedded.
        pairs: By pair, as `text-ct`, of modalities that two or more studies have together.
        choices: By image and changed fact, of studies with counterfactual reports: how often the
            image is closer to the true report.
        unseen_words: Share of the reports' words that the text encoder never read; a report in
            another language has most of them.
    """

    medgen: str
    model: str
    studies: int
    pairs: dict[str, Agreement]
    choices: dict[str, dict[str, Choice]]
    unseen_words: float

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
    found = embed(loaded, studies_of(manifest, loaded, config))
    pairs = agreements(found, config.gallery)
    if not pairs:
        raise InputError(f"{manifest}: no two studies have two modalities in common")
    card = loaded.card
    return RetrievalReport(
        __version__,
        f"{card.name} {card.version}",
        len(found.ids),
        pairs,
        choices_of(found),
        float(np.mean(found.unseen)) if found.unseen else 0.0,
    )


def agreements(found: Embedded, gallery: int) -> dict[str, Agreement]:
    """By pair, as `text-ct`, of modalities that two or more studies have together."""
    pairs = {}
    for one, other in combinations(Modality, 2):
        both = ~np.isnan(found.vectors[one][:, 0]) & ~np.isnan(found.vectors[other][:, 0])
        if both.sum() >= 2:
            pairs[f"{one}-{other}"] = agreement(
                found.vectors[one][both],
                found.vectors[other][both],
                groups=np.array(found.groups)[both],
                parts=[size for size, is_in in zip(found.sizes, both, strict=True) if is_in],
                gallery=gallery,
            )
    return pairs


def choices_of(found: Embedded) -> dict[str, dict[str, Choice]]:
    """By image and changed fact: how often the image is closer to the true report."""
    return {
        name: {change: choice(margins) for change, margins in sorted(by_change.items())}
        for name, by_change in found.margins.items()
    }


def embed(loaded: LoadedAligner, studies: Iterator[ReadStudy] | Sequence[ReadStudy]) -> Embedded:
    """Embed every report and every image; a few studies are held at a time.

    A study with several images of a modality lies where their mean points.
    """
    ids: list[str] = []
    groups: list[int] = []
    rows: dict[Modality, list[np.ndarray]] = {name: [] for name in Modality}
    sizes: list[str] = []
    margins: dict[str, dict[str, list[float]]] = {}
    unseen: list[float] = []
    left = iter(studies)
    while some := list(islice(left, BATCH)):
        ids += [study.id for study in some]
        groups += [study.group for study in some]
        sizes += [in_words(study.largest_mm) for study in some]
        unseen += [loaded.tokenizer.unseen_share(study.text) for study in some if study.text]
        for name in Modality:
            rows[name].append(_embedded(loaded, name, some))
        for at, study in enumerate(some):
            seen = {name: rows[name][-1][at] for name in IMAGES if name in study.images}
            _choose(loaded, study, seen, margins)
    width = loaded.aligner.embedding
    vectors = {
        name: np.concatenate(parts) if parts else np.empty((0, width), np.float32)
        for name, parts in rows.items()
    }
    return Embedded(tuple(ids), tuple(groups), vectors, tuple(sizes), margins, tuple(unseen))


def in_words(size_mm: float | None) -> str:
    """The class of a size.

    Example:
        >>> in_words(12)
        '10 to 20 mm'
    """
    if size_mm is None:
        return "not measured"
    ends = (0, *SIZES_MM, math.inf)
    low, high = next(pair for pair in pairwise(ends) if size_mm < pair[1])
    return f"{low} mm and more" if high == math.inf else f"{low} to {high} mm"


def _choose(
    loaded: LoadedAligner,
    study: ReadStudy,
    seen: Mapping[Modality, Float[np.ndarray, " embedding"]],
    margins: dict[str, dict[str, list[float]]],
) -> None:
    """Add what each image of a study says to each pair of texts."""
    if not (study.counterfactuals and seen):
        return
    says, changed = (
        _texts(loaded, [getattr(pair, which) for pair in study.counterfactuals])
        for which in ("says", "changed")
    )
    for name, image in seen.items():
        by_change = margins.setdefault(str(name), {})
        for pair, margin in zip(study.counterfactuals, (says - changed) @ image, strict=True):
            by_change.setdefault(str(pair.change), []).append(float(margin))


def _texts(loaded: LoadedAligner, texts: Sequence[str]) -> Float[np.ndarray, "texts embedding"]:
    """Embedded texts; those that are too long are cut."""
    encoder = loaded.aligner.encoders[Modality.TEXT]
    assert isinstance(encoder, TextEncoder)
    ids = loaded.tokenizer.encode(list(texts), max_tokens=encoder.config.max_tokens).ids
    device = loaded.aligner.temperature.log_scale.device
    with torch.inference_mode():
        embedded: np.ndarray = encoder(ids.to(device)).embedding.cpu().numpy()
    return embedded


def _embedded(
    loaded: LoadedAligner, name: Modality, studies: Sequence[ReadStudy]
) -> Float[np.ndarray, "studies embedding"]:
    vectors = np.full((len(studies), loaded.aligner.embedding), np.nan, np.float32)
    if name is Modality.TEXT:
        here = [at for at, study in enumerate(studies) if study.text]
        if here:
            vectors[here] = _texts(loaded, [studies[at].text or "" for at in here])
        return vectors
    device = loaded.aligner.temperature.log_scale.device
    for at, study in enumerate(studies):
        if images := study.images.get(name):
            rows = torch.stack(list(images)).float().to(device)
            present = torch.ones(len(images), dtype=torch.bool, device=device)
            with torch.inference_mode():
                embedded = loaded.aligner({name: Given(rows, present)})[name]
                mean = F.normalize(embedded.rows.mean(0), dim=0)
            vectors[at] = mean.cpu().numpy()
    return vectors


def studies_of(
    manifest: Path, loaded: LoadedAligner, config: RetrievalConfig, *, least: int = 2
) -> Iterator[ReadStudy]:
    """The studies of a manifest, as these encoders take them.

    Args:
        manifest: Where they are listed.
        loaded: The encoders.
        config: Which of them.
        least: How many of text, X-ray, CT and MRI a study must have.

    Raises:
        InputError: If the manifest is wrong, has none, or too many cannot be read.
    """
    listed = read_manifest(manifest, allow_outside=config.allow_outside)
    chosen = [study for study in listed if config.split in (None, study.split)]
    if not chosen:
        raise InputError(f"{manifest}: has no study of split {config.split}")
    known = [name for name in IMAGES if name in loaded.aligner.encoders]
    unknown = [name for name in IMAGES if name not in known and any(s.of(name) for s in chosen)]
    if unknown:
        LOG.warning("%s has no encoder of %s: left out", loaded.card.name, ", ".join(unknown))
    yield from read_studies(
        chosen,
        loaded.standard,
        load_phrases(),
        modalities=known,
        max_bad=config.max_bad,
        least=least,
    )
