"""Train a reader: instructions made of a manifest's studies teach a flow to follow references."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from medgen.checkpoint import Card, model_folder, read_card
from medgen.data.study import Study
from medgen.errors import UsageError
from medgen.instruct.reader import Reader
from medgen.instruct.tasks import COMBINATIONS, check_tasks
from medgen.modality import FACTS, Modality
from medgen.tasks.aligning.model import LoadedAligner, load_aligner
from medgen.tasks.fitting.chosen import with_modality
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.distributed import join
from medgen.tasks.fitting.fit import MODEL, Progress, fit
from medgen.tasks.fitting.prefetch import MakeItem
from medgen.tasks.fitting.run_card import card_of, descended, facts_of
from medgen.tasks.fitting.snapshots import averaged_weights
from medgen.tasks.flows.flow import Flow
from medgen.tasks.flows.items import FlowLoss
from medgen.tasks.flows.model import codec_of, load_flow
from medgen.tasks.instructing.items import InstructItems, InstructLoss
from medgen.tasks.instructing.model import (
    ReaderShape,
    load_reader,
    new_reader,
    reader_part,
    save_reader,
    shape_of,
)
from medgen.tasks.instructing.studies import (
    Frames,
    InstructStudy,
    instruct_studies,
    known_findings,
)

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class InstructTrainConfig:
    """What `medgen train --round instruct` is asked to do."""

    modality: Modality = Modality.XRAY  # whose flow learns to read references
    init: str = "flows"  # a model with the flow; what it reads already is gone on with
    anew: bool = False  # begin with a new reader, though `init` has one
    tasks: tuple[str, ...] = tuple(COMBINATIONS)  # which references go together
    hold_out: tuple[str, ...] = ("anatomy+look",)  # tasks that are left for tests
    drop: float = 0.2  # share of the items whose text is not told
    drop_references: float = 0.1  # share of the references that are not shown; one stays
    looks: int = 1  # in which each image is kept, besides its own
    max_bad: float = 0.05  # share of the studies that may be unreadable
    allow_outside: bool = False  # the manifest may name files outside its folder
    cache: str | None = None  # folder that keeps images as codecs take them
    card: str | None = None  # TOML with name, summary, licence and data of the model
    reader: ReaderShape = field(default_factory=ReaderShape)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=8000, batch=16, learning_rate=1e-3, ema_decay=0.998, device="auto"
        )
    )

    def __post_init__(self) -> None:
        """Raises UsageError for a number or a word that makes no sense."""
        check_tasks(self.tasks, self.hold_out)
        if FACTS[self.modality].axes < 2:
            raise UsageError("modality text: a flow of text reads no references")
        if not all(0 <= share < 1 for share in (self.drop, self.drop_references)):
            raise UsageError("drop and drop_references must be in [0, 1)")
        if self.looks < 0 or not 0 <= self.max_bad <= 1:
            raise UsageError("looks is 0 or more, and max_bad in [0, 1]")


@dataclass(frozen=True)
class Apprentice:
    """A reader that is about to learn, and what it learns for.

    Attributes:
        reader: New, or as an earlier round has left it.
        flow: Stays as it is.
        encoders: Of what the flow is told.
        modality: Of the flow.
        init: The model's folder.
        fitting: How it is trained.
        device: Where to compute.
        goes_on: Whether the reader is that of `init`, and not a new one.
    """

    reader: Reader
    flow: Flow
    encoders: LoadedAligner
    modality: Modality
    init: Path
    fitting: FitConfig
    device: torch.device
    goes_on: bool

    @property
    def words(self) -> FlowLoss:
        """What reads texts and captions for the flow."""
        return FlowLoss(self.encoders.aligner.text_encoder, self.encoders.tokenizer)


def train_instruct(
    config: InstructTrainConfig, out: Path, *, manifest: Path, resume: bool = False
) -> Iterator[Progress]:
    """Train a reader and write `out/model`: all of `init`, and the reader.

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
        ModelError: If `init` lacks the flow, an encoder or the codec.
        OutputError: If `out` cannot be written.

    Source: instruction tuning of Hu et al. 2024, section 4.2 (arXiv:2401.01952); there, all of
    the flow learns, here its reader alone.
    """
    card = card_of(config.card, "flows", "generate")  # its mistakes must not wait for the end
    listed = with_modality(manifest, config.modality, allow_outside=config.allow_outside)
    findings = known_findings(listed, FACTS[config.modality].axes)
    one = apprentice(
        config.init, config.modality, config.reader, config.fit, findings, anew=config.anew
    )
    cache = Path(config.cache) if config.cache else None
    studies = learned_from(one, listed, looks=config.looks, max_bad=config.max_bad, cache=cache)
    tasks = [name for name in config.tasks if name not in config.hold_out]
    if not any(study.edits for study in studies):
        tasks = [name for name in tasks if "region" not in name]
        LOG.info("no study has masks: regions are not learned")
    if not tasks:
        raise UsageError(f"{manifest}: no study has masks, and nothing but regions is asked for")
    if all("region" in name for name in tasks):
        studies = [study for study in studies if study.edits]
    seed = config.fit.seed
    items = InstructItems(studies, tasks, config.drop, config.drop_references, seed)
    config = replace(config, reader=shape_of(one.reader))
    facts = {"config": facts_of(config), "studies": len(studies), "tasks": tasks}
    yield from train_reader(one, items, out, card, facts, resume=resume)


def apprentice(
    init: str,
    modality: Modality,
    shape: ReaderShape,
    fitting: FitConfig,
    findings: tuple[str, ...],
    *,
    anew: bool = False,
) -> Apprentice:
    """The reader of a model, or a new one, with its flow frozen.

    Args:
        init: The model.
        modality: Of the flow.
        shape: Of a new reader.
        fitting: How it will be trained.
        findings: That its label maps have to know.
        anew: Whether it is a new one in any case.

    Raises:
        UsageError: If its label maps know other findings than the studies have, or it has another
            shape, or takes references in another way.
        ModelError: If the model lacks a part.
    """
    device = join(fitting.device).device  # each process has its own
    flow = load_flow(init, modality, device).flow.requires_grad_(False)
    torch.manual_seed(fitting.seed)
    kept = None if anew else load_reader(model_folder(init), modality)
    reader = kept or new_reader(flow, shape, findings)
    known = reader.config.findings
    if unknown := [name for name in findings if name not in known]:
        raise UsageError(
            f"{init}: its label maps know {', '.join(known) or 'no finding'}; not "
            f"{', '.join(unknown)}: begin with a new reader, --set anew=true"
        )
    if bool(reader.config.raw) != shape.raw:
        raise UsageError(
            f"{init}: its references are {'raw channels' if reader.config.raw else 'encoded'}; "
            f"--set reader.raw={str(not shape.raw).lower()}, or begin with a new reader, --set "
            "anew=true"
        )
    own = shape_of(reader)
    if shape not in (own, ReaderShape(raw=own.raw)):
        raise UsageError(
            f"{init}: its reader has another shape ({own}); leave out --preset and --set reader.…, "
            "or begin with a new reader, --set anew=true"
        )
    encoders = load_aligner(init, device)
    reader = reader.train().to(device)
    folder = model_folder(init)
    return Apprentice(reader, flow, encoders, modality, folder, fitting, device, kept is not None)


def learned_from(
    one: Apprentice, listed: Sequence[Study], *, looks: int, max_bad: float, cache: Path | None
) -> list[InstructStudy]:
    """The studies on the flow's grid.

    Args:
        one: Who learns.
        listed: Studies with the flow's modality.
        looks: In how many looks each image is kept, besides its own.
        max_bad: Share of the studies that may be unreadable.
        cache: Folder of the images as they were read before.

    Raises:
        UsageError: If none can be read.
        InputError: If too many cannot be read.
    """
    frames = Frames(
        one.modality,
        codec_of(one.init, one.flow.config, one.device),
        one.flow.config,
        one.reader.config.findings,
        looks,
        one.fitting.seed,
        cache,
        one.device,
    )
    studies = instruct_studies(listed, frames, max_bad=max_bad)
    if not studies:
        raise UsageError(f"no study to train on has {one.modality} that can be read")
    return studies


def train_reader(
    one: Apprentice,
    items: MakeItem,
    out: Path,
    card: Card,
    facts: dict[str, object],
    *,
    resume: bool,
) -> Iterator[Progress]:
    """Train a reader on items, and write the model with it.

    Args:
        one: The reader, and its flow.
        items: What it learns from.
        out: The run's folder.
        card: As far as a person writes it.
        facts: What else the run remembers, and must find again when it is resumed.
        resume: Continue the run in `out`.
    """
    part = reader_part(one.modality)
    frozen = {name: each.sha256 for name, each in read_card(one.init).parts.items()}
    frozen.pop(part, None)
    facts = {**facts, "frozen": frozen}
    loss = InstructLoss(one.flow, one.words)
    yield from fit(one.reader, items, loss, one.fitting, out, resume=resume, card=facts)
    if join(one.fitting.device).rank == 0:
        step, state = averaged_weights(out)
        earlier = read_card(one.init).extra.get(f"training-{part}", []) if one.goes_on else []
        extra: dict[str, object] = {f"training-{part}": [*earlier, facts]}
        card = replace(card, steps=step, extra=extra)
        card = descended(card, one.init, part, goes_on=one.goes_on)
        save_reader(out / MODEL, card, one.modality, one.reader.config, state, beside=one.init)
