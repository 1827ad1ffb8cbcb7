"""What the visual invariant and the hub are worth: the same readers, trained with and without.

The features and the text encoder are those of the finished encoders, and stay; what reads the
features of radiographs and CTs of the training chests begins anew for each variant, with the same
seed, steps and order of studies, and is then asked about the held-out chests.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import heldout_studies
from benchmarks.machine import commit, today
from benchmarks.probe import GALLERY
from benchmarks.retrieval import encoders_at, figures
from benchmarks.rows import Row, Store
from benchmarks.train_flows import DEEP_CHESTS
from medgen.align.aligner import Aligner
from medgen.data.manifest import read_manifest
from medgen.metrics.phrases import load_phrases
from medgen.modality import Modality
from medgen.tasks.align import AlignLoss
from medgen.tasks.aligning.cells import CellItems, Cells, cells_of
from medgen.tasks.aligning.config import AlignConfig
from medgen.tasks.aligning.model import LoadedAligner, load_aligner
from medgen.tasks.aligning.retrieval import agreements, choices_of, embed
from medgen.tasks.batch import MANIFEST
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.fit import fit
from medgen.tasks.fitting.snapshots import averaged_weights
from medgen.tasks.memory import give_back_large_arrays
from medgen.tasks.studies import ReadStudy, read_studies

PART = "ablation"
IMAGES = (Modality.XRAY, Modality.CT)
VIEWS = 2
SEEDS = (0, 1)
BASIS = AlignConfig(
    train=("xray", "ct"),
    cells=VIEWS,
    decoys=4,
    grounding=0.0,
    invariant=0.0,
    fit=FitConfig(steps=250, batch=32, learning_rate=2e-3, warmup=50, ema_decay=0.98),
)
VARIANTS = {
    "text as hub, no invariant": BASIS,
    "text as hub, off-diagonal invariant": replace(BASIS, invariant=0.1, diag_weight=0.0),
    "text as hub, full invariant": replace(BASIS, invariant=0.1),
    "all pairs, no invariant": replace(BASIS, pairs="all"),
}


@dataclass(frozen=True)
class Chests:
    """What every variant is given.

    Attributes:
        studies: Training chests, without their images.
        cells: Features of these.
        heldout: Held-out chests.
        known: Reports that the text encoder, which is the same for all, has embedded already.
    """

    studies: Sequence[ReadStudy]
    cells: Sequence[Cells]
    heldout: Sequence[ReadStudy]
    known: dict[str, Tensor] = field(default_factory=dict)


def ablations(data: Path, model: str, studies: Path, out: Path, store: Store) -> Iterator[Row]:
    """A row for each variant and seed.

    Args:
        data: The data folder.
        model: The finished encoders, by name or folder.
        studies: Where `benchmarks.train_flows` has its studies; nothing is measured without either.
        out: Keeps the runs.
        store: Keeps the rows.
    """
    listed = studies / DEEP_CHESTS / MANIFEST
    if not set(IMAGES) <= encoders_at(model).keys() or not listed.exists():
        return

    @cache
    def chests() -> Chests:
        heldout_studies.write(data, studies / "heldout")
        return _chests(model, listed, studies)

    for name, config in VARIANTS.items():
        for seed in SEEDS:
            key = name.replace(" ", "-").replace(",", "")
            path = store.path(PART, key, str(seed), "heldout")
            folder = out / "ablation" / f"{key}-{seed}"
            make = partial(_measured, name, config, seed, folder, model, chests)
            if row := store.row(path, make):
                yield row


def _chests(model: str, listed: Path, studies: Path) -> Chests:
    give_back_large_arrays()
    loaded, phrases = load_aligner(model, torch.device("cpu")), load_phrases()
    reading = read_studies(
        read_manifest(listed), loaded.standard, phrases, modalities=IMAGES, cache=studies / "views"
    )
    seen = list(reading)
    cells = cells_of(loaded.aligner, seen, IMAGES, VIEWS, BASIS.augment, 0)
    shown = [replace(study, images={}) for study in seen]  # features are enough
    test = read_manifest(studies / "heldout" / "chest" / "manifest.jsonl")
    return Chests(shown, cells, list(read_studies(test, loaded.standard, phrases)))


def _measured(
    name: str, config: AlignConfig, seed: int, folder: Path, model: str, chests: "partial[Chests]"
) -> Row:
    given, loaded = chests(), load_aligner(model, torch.device("cpu"))
    aligner = with_new_readers(loaded.aligner, seed).train()
    aligner.train_only(IMAGES, has_features=False)
    items = CellItems(given.studies, given.cells, seed, config.invariant > 0, config.decoys)
    loss = AlignLoss(loaded.tokenizer, config, has_wordings=True, known=given.known)
    for _ in fit(aligner, items, loss, replace(config.fit, seed=seed), folder, resume=True):
        pass
    _, state = averaged_weights(folder)
    aligner.load_state_dict(state)
    trained = LoadedAligner(aligner.eval(), loaded.tokenizer, loaded.standard, loaded.card)
    found = embed(trained, given.heldout)
    scores = figures(agreements(found, GALLERY), choices_of(found))
    return Row(PART, str(seed), "", "", name, scores, 0.0, commit(), today())


def with_new_readers(aligner: Aligner, seed: int) -> Aligner:
    """The same features; what reads them knows nothing."""
    torch.manual_seed(seed)
    for name in IMAGES:
        encoder = aligner.image_encoder(name)
        new = type(encoder)(encoder.config)
        reading = encoder.reading()
        kept = {name: one for name, one in encoder.state_dict().items() if name not in reading}
        new.load_state_dict(kept, strict=False)
        aligner.encoders[name] = new
    return aligner
