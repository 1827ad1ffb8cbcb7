"""Train a reader on an archive: a study and its neighbours teach a flow to read references."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from medgen.diffusion.loss import logit_normal_times
from medgen.diffusion.noise import generator_for
from medgen.errors import UsageError
from medgen.instruct.appearance import PLAIN
from medgen.instruct.instruction import MAX_REFERENCES, Role
from medgen.instruct.retrieval import CONTEXT, neighbours
from medgen.modality import FACTS, Modality
from medgen.tasks.fitting.chosen import with_modality
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.distributed import join
from medgen.tasks.fitting.fit import Progress
from medgen.tasks.fitting.run_card import card_of, facts_of
from medgen.tasks.flows.items import FlowItem
from medgen.tasks.instructing.archive import archive_report, placed, write_archive_report
from medgen.tasks.instructing.items import LOGIT, InstructItem
from medgen.tasks.instructing.model import ReaderShape, shape_of
from medgen.tasks.instructing.read import Shown
from medgen.tasks.instructing.studies import InstructStudy, known_findings
from medgen.tasks.instructing.train import apprentice, learned_from, train_reader
from medgen.tasks.studies import one_of


@dataclass(frozen=True)
class ArchiveTrainConfig:
    """What `medgen train --round retrieval` is asked to do."""

    modality: Modality = Modality.XRAY  # whose flow learns to read references
    init: str = "flows"  # a model with the flow; what it reads already is gone on with
    anew: bool = False  # begin with a new reader, though `init` has one
    context: int = CONTEXT  # neighbours of each study
    max_reuse: int | None = None  # how often a study may be a neighbour; None for no cap
    drop: float = 0.2  # share of the items whose text is not told
    drop_references: float = 0.1  # share of the references that are not shown; one stays
    max_bad: float = 0.05  # share of the studies that may be unreadable
    allow_outside: bool = False  # the manifest may name files outside its folder
    cache: str | None = None  # folder that keeps radiographs, and latents of images
    card: str | None = None  # TOML with name, summary, licence and data of the model
    reader: ReaderShape = field(default_factory=ReaderShape)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            # At 1e-3, roles are learned more slowly afterwards than by a new reader.
            steps=8000,
            batch=16,
            learning_rate=2e-4,
            ema_decay=0.998,
            device="auto",
        )
    )

    def __post_init__(self) -> None:
        """Raises UsageError for a number or a word that makes no sense."""
        if FACTS[self.modality].axes < 2:
            raise UsageError("modality text: a flow of text reads no references")
        if not 1 <= self.context <= MAX_REFERENCES:
            raise UsageError(f"context is {self.context}; choose 1 to {MAX_REFERENCES}")
        if not all(0 <= share < 1 for share in (self.drop, self.drop_references)):
            raise UsageError("drop and drop_references must be in [0, 1)")
        if not 0 <= self.max_bad <= 1:
            raise UsageError("max_bad must be in [0, 1]")


@dataclass(frozen=True)
class ArchiveItems:
    """Item number -> item: a pure function, whatever was asked before.

    One study of a cluster is what is told and what is made; the others are its context, each with
    its report for a caption.

    Attributes:
        clusters: Images of a study, and those of its neighbours; every study has some.
        drop: Share of the items whose text is not told.
        drop_references: Share of the references that are not shown, each by itself; one stays.
        seed: Of all draws.

    Source: Hu et al. 2024, section 4.1 (arXiv:2401.01952).
    """

    clusters: Sequence[tuple[Sequence[InstructStudy], Sequence[Sequence[InstructStudy]]]]
    drop: float
    drop_references: float
    seed: int

    def __call__(self, number: int) -> InstructItem:
        """A cluster in random order."""
        generator = generator_for(self.seed, number)
        images, others = one_of(self.clusters, generator)
        study = one_of(images, generator)
        shown = []
        for of in others:
            one = one_of(of, generator)
            caption = one_of(one.texts, generator) if one.texts else ""
            shown.append(Shown(one.looks[PLAIN], Role.CONTEXT, caption, one.scan))
        rolls = torch.rand(len(shown), generator=generator).tolist()
        kept = [one for one, roll in zip(shown, rolls, strict=True) if roll >= self.drop_references]
        text = one_of(study.texts, generator) if study.texts else ""
        is_told = float(torch.rand((), generator=generator)) >= self.drop
        clean = study.looks[PLAIN].float()
        noise = torch.randn(clean.shape, generator=generator)
        time = float(logit_normal_times(1, generator, mean=LOGIT))
        item = FlowItem(clean, noise, time, text if is_told else "", [], scan=study.scan)
        return InstructItem(item, tuple(kept or shown[:1]), "context")


def train_archive(
    config: ArchiveTrainConfig, out: Path, *, manifest: Path, resume: bool = False
) -> Iterator[Progress]:
    """Train a reader on the neighbours of an archive's studies and write `out/model`.

    Beside it lies `retrieval.json`: who is retrieved how often, by sex, age and finding where they
    are known.

    Args:
        config: What to train, on what, and how.
        out: The run's folder: snapshots, `metrics.jsonl`, and the model at the end.
        manifest: Studies with the modality; those of split `train`, or without one.
        resume: Continue the run in `out`.

    Yields:
        Progress after every step.

    Raises:
        UsageError: If there is nothing to learn from, or a setting does not fit.
        InputError: If the manifest is wrong, the archive is too small, or too many studies cannot
            be read.
        ModelError: If `init` lacks the flow, an encoder or the codec.
        OutputError: If `out` cannot be written.
    """
    card = card_of(config.card, "flows", "generate")  # its mistakes must not wait for the end
    listed = with_modality(manifest, config.modality, allow_outside=config.allow_outside)
    findings = known_findings(listed, FACTS[config.modality].axes)
    one = apprentice(
        config.init, config.modality, config.reader, config.fit, findings, anew=config.anew
    )
    cache = Path(config.cache) if config.cache else None
    space = placed(listed, one.encoders, config.modality, max_bad=config.max_bad, cache=cache)
    by_id = {study.id: study for study in listed}
    archive = [by_id[name] for name in space.ids]
    found = neighbours(
        space.vectors,
        [study.patient for study in archive],
        count=config.context,
        max_reuse=config.max_reuse,
    )
    report = archive_report(archive, found, config.max_reuse)
    studies = learned_from(one, archive, looks=0, max_bad=config.max_bad, cache=cache)
    clusters = clusters_of([study.id for study in archive], found.of, studies)
    items = ArchiveItems(clusters, config.drop, config.drop_references, config.fit.seed)
    config = replace(config, reader=shape_of(one.reader))
    facts = {"config": facts_of(config), "studies": len(clusters)}
    is_first = True
    for progress in train_reader(one, items, out, card, facts, resume=resume):
        if is_first and join(config.fit.device).rank == 0:
            write_archive_report(report, out)
        is_first = False
        yield progress


def clusters_of(
    names: Sequence[str], of: Sequence[Sequence[int]], studies: Sequence[InstructStudy]
) -> list[tuple[list[InstructStudy], list[list[InstructStudy]]]]:
    """The images of each study and of its neighbours; what could not be read is left out.

    Args:
        names: Of the archive's studies.
        of: Numbers of each one's neighbours.
        studies: Images that could be read.

    Raises:
        UsageError: If none has a neighbour that could be read.
    """
    grouped: dict[str, list[InstructStudy]] = {}
    for study in studies:
        grouped.setdefault(study.id, []).append(study)
    clusters = []
    for name, others in zip(names, of, strict=True):
        context = [grouped[names[other]] for other in others if names[other] in grouped]
        if name in grouped and context:
            clusters.append((grouped[name], context))
    if not clusters:
        raise UsageError("no study has a neighbour that can be read; raise --max-reuse")
    return clusters
