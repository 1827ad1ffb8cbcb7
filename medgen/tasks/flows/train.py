"""Train a flow: latents of a manifest's images or reports in, a model that can make more out."""

import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from medgen.checkpoint import Card, model_folder, read_card
from medgen.config import check_once
from medgen.data.manifest import read_manifest
from medgen.data.standard import StandardConfig
from medgen.data.study import Study
from medgen.encoders.image import ImageEncoderConfig
from medgen.errors import UsageError
from medgen.finding import Presence
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import Phrases, load_phrases
from medgen.modality import FACTS, Modality
from medgen.tasks.aligning.model import LoadedAligner, load_aligner
from medgen.tasks.codecs.report import load_report_codec
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.distributed import join
from medgen.tasks.fitting.fit import MODEL, Progress, fit
from medgen.tasks.fitting.freeze import freeze
from medgen.tasks.fitting.run_card import card_of, descended, facts_of
from medgen.tasks.fitting.shape import keep_shape
from medgen.tasks.fitting.snapshots import averaged_weights
from medgen.tasks.flows.conditions import SCAN_WIDTH, Told, told_of
from medgen.tasks.flows.flow import Flow, FlowConfig, base_flow
from medgen.tasks.flows.items import FlowItems, FlowLoss, FlowStudy, TimesConfig
from medgen.tasks.flows.latents import (
    cells_found,
    image_latents,
    report_latents,
    volume_latents,
    whole_view,
)
from medgen.tasks.flows.model import codec_of, flow_part, load_flow, save_flow
from medgen.tasks.flows.prompt import retold_as
from medgen.tasks.memory import give_back_large_arrays
from medgen.tasks.studies import IMAGES, ReadStudy, read_studies

LOG = logging.getLogger(__name__)
FEW = 5  # studies with a finding, at least, from which it can be learned


@dataclass(frozen=True)
class FlowTrainConfig:
    """What `medgen train --round flow:…` is asked to do."""

    init: str = "flows"  # a model with the encoders, the codec, and maybe the flow to go on with
    freeze: tuple[str, ...] = ()  # modules that stay as they are, such as conditioner
    told: tuple[Modality, ...] = tuple(Modality)  # what it may be told; never its own modality
    drop: float = 0.1  # share of the items that are told nothing
    guidance: float | None = None  # how hard `generate` pushes if nobody says; if none, as before
    short: float = 0.15  # share of the things told by their place in the shared space alone
    retell: bool = False  # tell every other text as `generate` retells a prompt
    regrid: bool = False  # a flow of volumes goes on with the grid, spacings and codec asked for
    focus: float = 0.0  # what an error counts more where the text finds something; with masks
    max_bad: float = 0.05  # share of the studies that may be unreadable
    allow_outside: bool = False  # the manifest may name files outside its folder
    cache: str | None = None  # folder that keeps images as encoders and codecs take them
    card: str | None = None  # TOML with name, summary, licence and data of the model
    flow: FlowConfig = field(default_factory=FlowConfig)
    times: TimesConfig = field(default_factory=TimesConfig)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=20_000, batch=16, learning_rate=4e-4, ema_decay=0.999, device="auto"
        )
    )

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        if self.regrid and not self.flow.spacings:
            raise UsageError("regrid: only flows of volumes fit other grids")
        if self.focus < 0 or (self.focus and self.modality is Modality.TEXT):
            raise UsageError("focus is 0 or more, and findings are only drawn in images")
        if self.retell and (self.modality is Modality.TEXT or Modality.TEXT not in self.others):
            raise UsageError("retell: is for flows of images that are told text")
        if not 0 <= (self.guidance or 0) < math.inf:
            raise UsageError("guidance is 0 or more, and finite; 1 does not push")
        if not 0 <= self.drop < 1 or not 0 <= self.short <= 1 or not 0 <= self.max_bad <= 1:
            raise UsageError("drop must be in [0, 1), and short and max_bad in [0, 1]")
        check_once(self, "told")
        if not self.others:
            raise UsageError(f"told {', '.join(self.told) or 'nothing'}: name another modality")

    @property
    def modality(self) -> Modality:
        """Whose latents the flow makes."""
        return self.flow.modality

    @property
    def others(self) -> tuple[Modality, ...]:
        """What the flow is told."""
        return tuple(Modality(each) for each in self.told if each != self.modality)


def train_flow(
    config: FlowTrainConfig, out: Path, *, manifest: Path, resume: bool = False
) -> Iterator[Progress]:
    """Train a flow and write `out/model`: all of `init`, and the flow.

    Args:
        config: What to train, on what, and how.
        out: The run's folder: snapshots, `metrics.jsonl`, and the model at the end.
        manifest: Studies with the flow's modality and another one; those of split `train`, or
            without one.
        resume: Continue the run in `out`.

    Yields:
        Progress after every step.

    Raises:
        UsageError: If there is nothing to learn from, or a setting does not fit.
        InputError: If the manifest is wrong, or too many studies cannot be read.
        ModelError: If `init` lacks an encoder or the codec.
        OutputError: If `out` cannot be written.
    """
    card = card_of(config.card, "flows", "generate")  # its mistakes must not wait for the end
    flow, config, before = _start(config)
    freeze(flow, config.freeze)
    device = join(config.fit.device).device  # each process has its own
    encoders = load_aligner(config.init, device)
    studies = list(flow_studies(config, manifest, encoders, device).values())
    if not any(one.texts or one.seen for one in studies):
        LOG.warning("no study tells the flow anything; it will only make what is common")
    items = FlowItems(studies, config.drop, config.short, config.fit.seed, config.times)
    loss = FlowLoss(encoders.aligner.text_encoder, encoders.tokenizer, config.focus)
    facts = {"config": facts_of(config), "studies": len(studies)}
    yield from fit(flow, items, loss, config.fit, out, resume=resume, card=facts)
    if join(config.fit.device).rank == 0:
        step, state = averaged_weights(out)
        extra = {
            f"training-{flow_part(config.modality)}": facts_of(config),
            **_heard(config, studies, before),
        }
        if config.guidance is not None:
            extra[f"guidance-{config.modality}"] = config.guidance
        init = model_folder(config.init)
        card = descended(replace(card, steps=step, extra=extra), init, flow_part(config.modality))
        save_flow(out / MODEL, card, flow.config, state, beside=init)


def _heard(
    config: FlowTrainConfig, studies: Sequence[FlowStudy], before: Card | None
) -> dict[str, object]:
    """What the flow was told of: modalities, and findings that reports say; now or before.

    On another grid, before does not count: what it has not seen there it may not show there.
    """
    phrases = load_phrases()
    counts = Counter(
        name
        for study in studies
        for name in {
            one.name
            for one in read_findings(study.texts[0] if study.texts else "", phrases)
            if one.presence is Presence.PRESENT
        }
    )
    told = {str(name) for study in studies for name in study.seen}
    told |= {str(Modality.TEXT)} if any(study.texts for study in studies) else set()
    found = {
        f"findings-{config.modality}": {n for n, count in counts.items() if count >= FEW},
        f"told-{config.modality}": told,
    }
    earlier = before.extra if before and not config.regrid else {}
    return {key: sorted(names | set(earlier.get(key, ()))) for key, names in found.items()}


def _start(config: FlowTrainConfig) -> tuple[Flow, FlowTrainConfig, Card | None]:
    """The flow of `init` and the card it came with, or a new one."""
    card = read_card(model_folder(config.init))
    if flow_part(config.modality) in card.parts:
        flow = load_flow(config.init, config.modality, torch.device("cpu")).flow.train()
        own = flow.config
        if config.regrid:
            own = _moved(own, config)
            flow.config = own  # its convolutions fit any grid
        keep_shape(_like(config.flow, own), own, _like(base_flow(config.modality), own))
        return flow, replace(config, flow=own), card
    config = replace(config, flow=_fitting(config))
    encoders = load_aligner(config.init, torch.device("cpu")).aligner
    known = encoders.encoders
    seen = (
        encoders.image_encoder(name).config.width if name in known else ImageEncoderConfig().width
        for name in IMAGES
    )
    widths = (encoders.text_encoder.config.width, *seen, encoders.embedding)
    scan = (SCAN_WIDTH,) if config.flow.spacings else ()
    conditioner = replace(config.flow.conditioner, sources=(*widths, *scan))
    config = replace(config, flow=replace(config.flow, conditioner=conditioner))
    torch.manual_seed(config.fit.seed)
    return Flow(config.flow), config, None


def _moved(own: FlowConfig, config: FlowTrainConfig) -> FlowConfig:
    """The shape of a flow of volumes that goes on with other latents of as many channels."""
    asked = config.flow
    channels = codec_of(config.init, asked, torch.device("cpu")).codec.channels
    if channels != own.channels:
        raise UsageError(
            f"regrid: the codec has {channels} channels, and the flow makes {own.channels}; "
            "name another with flow.codec"
        )
    return replace(own, grid=asked.grid, spacings=asked.spacings, codec=asked.codec)


def _like(wanted: FlowConfig, own: FlowConfig) -> FlowConfig:
    """A shape as it would be with the codec and the encoders that another was built for."""
    conditioner = replace(wanted.conditioner, sources=own.conditioner.sources)
    return replace(wanted, channels=own.channels, grid=own.grid, conditioner=conditioner)


def _fitting(config: FlowTrainConfig) -> FlowConfig:
    """The flow's shape with the latents of the model's codec."""
    if config.modality is Modality.TEXT:
        text = load_report_codec(config.init, torch.device("cpu")).codec.config
        return replace(config.flow, channels=text.channels, grid=(text.length,))
    loaded = codec_of(config.init, config.flow, torch.device("cpu"))
    if FACTS[config.modality].axes == 3:
        return replace(config.flow, channels=loaded.codec.channels)
    cells = loaded.frame.side // loaded.codec.stride
    return replace(config.flow, channels=loaded.codec.channels, grid=(cells, cells))


def flow_studies(
    config: FlowTrainConfig,
    manifest: Path,
    encoders: LoadedAligner,
    device: torch.device,
    *,
    listed: Sequence[Study] | None = None,
    grid_of: Modality | None = None,
) -> dict[str, FlowStudy]:
    """The studies that have the flow's modality, as latents and as what encoders say of them.

    Args:
        config: What is trained.
        manifest: Of the studies.
        encoders: Of what the flow is told.
        device: Where to compute.
        listed: The studies; those of the manifest if not given.
        grid_of: As `volume_latents` takes it.

    Returns:
        By the study's id.
    """
    give_back_large_arrays()
    if listed is None:
        listed = read_manifest(manifest, allow_outside=config.allow_outside)
    chosen = [study for study in listed if study.is_for_training and study.has(config.modality)]
    if not chosen:
        raise UsageError(f"{manifest}: no study to train on has {config.modality}")
    cache = Path(config.cache) if config.cache else None
    world = join(config.fit.device)
    phrases = load_phrases()
    read = read_studies(
        chosen,
        encoders.standard,
        phrases,
        modalities=[
            each for each in config.others if each in IMAGES and each in encoders.aligner.encoders
        ],
        max_bad=config.max_bad,
        workers=config.fit.workers,
        cache=cache,
        least=0,
    )
    told, groups = {}, {}
    scans: dict[str, list[Told]] = {}
    for study in read:
        reports = _reports(study)
        if config.retell:
            reports += _retold(reports, phrases, with_absent=FACTS[config.modality].axes == 3)
        told[study.id] = (reports, _seen(study, encoders, device))
        groups[study.id] = study.group
    if config.modality is Modality.TEXT:
        texts = {name: of for name, (of, _) in told.items() if of}
        latents = report_latents(config.init, texts, device)
    elif config.flow.spacings:
        known = [study for study in chosen if study.id in told]
        volumes = world.shared(
            known,
            lambda some: volume_latents(
                config.init, config.flow, some, device, max_bad=config.max_bad, grid_of=grid_of
            ),
        )
        latents = {name: one.latents for name, one in volumes.items()}
        scans = {name: one.scans for name, one in volumes.items()}
    else:
        known = [study for study in chosen if study.id in told]
        latents = world.shared(
            known,
            lambda some: image_latents(
                config.init, config.flow, some, device, cache=cache, max_bad=config.max_bad
            ),
        )
    has_text = Modality.TEXT in config.others
    if not latents:
        raise UsageError(f"{manifest}: no study to train on has {config.modality} that can be read")
    found = {}
    if config.focus:
        drawn = [study for study in chosen if study.id in latents and study.masks]
        if not drawn:
            raise UsageError("focus: no study has masks; write them with `medgen phantom --masks`")
        found = world.shared(drawn, lambda some: _found(config, some, cache))
    return {
        name: FlowStudy(
            of,
            told[name][0] if has_text else (),
            told[name][1],
            found.get(name, ()),
            groups[name],
            scans.get(name, ()),
        )
        for name, of in latents.items()
    }


def _found(
    config: FlowTrainConfig, studies: Sequence[Study], cache: Path | None
) -> dict[str, list[Tensor]]:
    """Of the studies with masks: the cells of each image in which something is found."""
    modality, grid = config.modality, config.flow.grid
    codec = codec_of(config.init, config.flow, torch.device("cpu"))
    view = StandardConfig(side=codec.frame.side)
    if FACTS[modality].axes == 3:
        view = whole_view(config.flow, codec.codec.stride)
    return {
        study.id: [
            cells_found(path, modality, study.masks, grid, view, cache)
            for path in study.of(config.modality)
        ]
        for study in studies
        if study.masks
    }


def _reports(study: ReadStudy) -> tuple[str, ...]:
    """All wordings of what is true of a study."""
    says = [pair.says for pair in study.counterfactuals]
    return tuple(dict.fromkeys([*([study.text] if study.text else []), *says]))


def _retold(texts: Sequence[str], phrases: Phrases, *, with_absent: bool) -> tuple[str, ...]:
    """What prompts with these texts are retold as."""
    said = (read_findings(text, phrases) for text in texts)
    return tuple(filter(None, (retold_as(one, with_absent=with_absent) for one in said)))


@torch.no_grad()
def _seen(
    study: ReadStudy, encoders: LoadedAligner, device: torch.device
) -> dict[Modality, list[Told]]:
    """What the encoders say of a study's images, half precision."""
    seen = {}
    for name, views in study.images.items():
        encoder = encoders.encoder_of(name)
        encoded = [encoder(view[None].float().to(device)) for view in views]
        told = [one for each in encoded for one in told_of(each, name)]
        seen[name] = [
            one._replace(context=one.context.half().cpu(), embedding=one.embedding.half().cpu())
            for one in told
        ]
    return seen
