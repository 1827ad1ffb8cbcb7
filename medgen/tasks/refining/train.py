"""Train a refiner: images at full resolution in, a model that doubles the resolution out."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from medgen.checkpoint import model_folder, read_card
from medgen.config import check_least
from medgen.data.study import Study
from medgen.errors import MedgenError, UsageError
from medgen.instruct.refiner import Refiner, RefinerConfig
from medgen.io import files
from medgen.latents.codec import crop_to
from medgen.modality import FACTS, Modality
from medgen.tasks.aligning.model import load_aligner
from medgen.tasks.codecs.images import FrameConfig, framed
from medgen.tasks.fitting.chosen import with_modality
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.distributed import join
from medgen.tasks.fitting.fit import MODEL, Progress, fit
from medgen.tasks.fitting.run_card import card_of, descended, facts_of
from medgen.tasks.fitting.snapshots import averaged_weights
from medgen.tasks.flows.items import FlowLoss
from medgen.tasks.instructing.studies import wordings
from medgen.tasks.refining.items import FineStudy, RefineItems, RefineLoss
from medgen.tasks.refining.model import refiner_part, save_refiner
from medgen.tasks.unreadable import Unreadable

FINE_ENOUGH = 0.9  # of the resolution that is learned; a coarser image has no details to teach


@dataclass(frozen=True)
class RefinerShape:
    """The size of a new refiner; what the images decide is left out."""

    widths: tuple[int, ...] = (24, 48, 96, 96)  # channels of each level, finest first

    def __post_init__(self) -> None:
        """Raises UsageError for a network that cannot be built."""
        check_least(self, 1, "widths")


@dataclass(frozen=True)
class RefineTrainConfig:
    """What `medgen train --round refine:…` is asked to do."""

    modality: Modality = Modality.XRAY  # of what is refined
    init: str = "flows"  # a model with the encoder of texts; the refiner lies beside its parts
    side: int = 384  # pixels of a radiograph's longer side at full resolution
    spacing: float = 1.0  # of a volume's voxels at full resolution, mm
    patch: int = 128  # pixels or voxels of a side, at full resolution
    drop: float = 0.2  # share of the items whose text is not told
    max_bad: float = 0.05  # share of the studies that may be unreadable
    allow_outside: bool = False  # the manifest may name files outside its folder
    cache: str | None = None  # folder that keeps radiographs as they were read before
    card: str | None = None  # TOML with name, summary, licence and data of the model
    refiner: RefinerShape = field(default_factory=RefinerShape)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=8000, batch=8, learning_rate=1e-3, ema_decay=0.998, device="auto"
        )
    )

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        if FACTS[self.modality].axes < 2:
            raise UsageError("modality text: has no resolution")
        if self.patch < 2 or self.patch % 2:
            raise UsageError(f"patch is {self.patch}; choose an even number, as 128")
        if self.spacing <= 0 or self.side < self.patch:
            raise UsageError("spacing is above 0, and a side holds a patch")
        if not 0 <= self.drop < 1 or not 0 <= self.max_bad <= 1:
            raise UsageError("drop must be in [0, 1), and max_bad in [0, 1]")


def train_refiner(
    config: RefineTrainConfig, out: Path, *, manifest: Path, resume: bool = False
) -> Iterator[Progress]:
    """Train a refiner and write `out/model`: all of `init`, and the refiner.

    Args:
        config: What to train, on what, and how.
        out: The run's folder: snapshots, `metrics.jsonl`, and the model at the end.
        manifest: Studies with the modality; those of split `train`, or without one.
        resume: Continue the run in `out`.

    Yields:
        Progress after every step.

    Raises:
        UsageError: If there is nothing to learn from, or a setting does not fit.
        InputError: If the manifest is wrong, or too many studies cannot be read.
        ModelError: If `init` lacks the encoder of texts.
        OutputError: If `out` cannot be written.

    Source: cascades are Ho et al. 2022 (arXiv:2106.15282).
    """
    card = card_of(config.card, "flows", "generate")  # its mistakes must not wait for the end
    listed = with_modality(manifest, config.modality, allow_outside=config.allow_outside)
    device = join(config.fit.device).device  # each process has its own
    encoders = load_aligner(config.init, device)
    studies = _fine_studies(config, listed)
    shape = refiner_shape(config, encoders.aligner.embedding)
    shape = replace(shape, detail=_deviation(Refiner(shape), studies))
    torch.manual_seed(config.fit.seed)
    refiner = Refiner(shape)
    items = RefineItems(studies, config.patch, config.drop, config.fit.seed)
    words = FlowLoss(encoders.aligner.text_encoder, encoders.tokenizer)
    facts = {"config": facts_of(config), "studies": len(studies)}
    loss = RefineLoss(words, config.fit.seed)
    yield from fit(refiner, items, loss, config.fit, out, resume=resume, card=facts)
    if join(config.fit.device).rank == 0:
        step, state = averaged_weights(out)
        init, part = model_folder(config.init), refiner_part(config.modality)
        frozen = {name: each.sha256 for name, each in read_card(init).parts.items() if name != part}
        extra: dict[str, object] = {f"training-{part}": {**facts, "frozen": frozen}}
        card = descended(replace(card, steps=step, extra=extra), init, part, goes_on=False)
        save_refiner(out / MODEL, card, config.modality, shape, state, beside=init)


def refiner_shape(config: RefineTrainConfig, embedding: int) -> RefinerConfig:
    """The shape of a refiner that has seen nothing."""
    axes = FACTS[config.modality].axes
    return RefinerConfig(
        axes=axes,
        embedding=embedding,
        widths=config.refiner.widths,
        spacing=config.spacing if axes == 3 else 0.0,
    )


def _fine_studies(config: RefineTrainConfig, listed: list[Study]) -> list[FineStudy]:
    frame = FrameConfig(side=config.side, spacing=config.spacing, wide=config.spacing)
    cache = Path(config.cache) if config.cache else None
    unreadable, found, coarse = Unreadable(len(listed), config.max_bad), [], 0
    for at, study in enumerate(listed):
        try:
            fine = [path for path in study.of(config.modality) if _is_fine(path, config)]
            coarse += len(study.of(config.modality)) - len(fine)
            images = [framed(path, config.modality, frame, cache) for path in fine]
        except MedgenError as error:
            unreadable.leave_out(study.id, at + 1, error)
            continue
        if images:
            found.append(FineStudy(images, wordings(study)))
    if not found:
        what = "side" if FACTS[config.modality].axes == 2 else "spacing"
        raise UsageError(
            f"no image is as fine as what shall be made of it, {coarse} are coarser; "
            f"choose another --set {what}"
        )
    return found


def _is_fine(path: Path, config: RefineTrainConfig) -> bool:
    """Whether an image has the details that are to be learned."""
    image = files.read(path)
    if config.modality is Modality.XRAY:
        return max(image.voxels.shape) >= FINE_ENOUGH * config.side
    return max(image.geometry.spacing) * FINE_ENOUGH <= config.spacing


def _deviation(refiner: Refiner, studies: list[FineStudy]) -> float:
    """Standard deviation of the details of some images."""
    squares = []
    for study in studies[:: max(1, len(studies) // 64)]:
        image = study.images[0][None].float()
        even = crop_to(image, tuple(size - size % 2 for size in image.shape[2:]))
        squares.append(float(refiner.haar.encode(even)[:, 1:].square().mean()))
    return max(1e-4, round(float(np.sqrt(np.mean(squares))), 6))
