"""Train a round: two flows that stay as they are learn to tell each other what they make."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from medgen.checkpoint import model_folder, read_card
from medgen.crossguide.flows import CrossGuide
from medgen.data.study import Study
from medgen.errors import UsageError
from medgen.modality import FACTS, Modality
from medgen.tasks.aligning.model import LoadedAligner, load_aligner
from medgen.tasks.fitting.chosen import to_train_on
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.distributed import join
from medgen.tasks.fitting.fit import MODEL, Progress, fit
from medgen.tasks.fitting.run_card import card_of, descended, facts_of
from medgen.tasks.fitting.snapshots import averaged_weights
from medgen.tasks.flows.cross_model import (
    LISTENER,
    CrossConfig,
    completed,
    frozen,
    load_guide,
    save_guide,
)
from medgen.tasks.flows.flow import Flow
from medgen.tasks.flows.items import FlowItems, FlowLoss, FlowStudy
from medgen.tasks.flows.model import codec_of, common_spacings, load_flow
from medgen.tasks.flows.train import FlowTrainConfig, flow_studies
from medgen.tasks.joining.complete_pairs import Completed, complete_pairs
from medgen.tasks.joining.items import CrossItems, CrossLoss, CrossTraining

PAIRS = "pairs"  # the folder, inside the run's, of images that were made


@dataclass(frozen=True)
class CrossTrainConfig:
    """What `medgen train --round` of `text-xray`, `text-ct` or `ct-mri` is asked to do."""

    pair: tuple[Modality, ...] = (Modality.TEXT, Modality.XRAY)  # the flows in company
    init: str = "flows"  # a model with both flows, and what earlier rounds have taught
    drop: float = 0.5  # share of the items that are told nothing, so that they have to listen
    short: float = 0.15  # share of the things told by their place in the shared space alone
    agreement: float = 1.0  # weight of: the latents of a study lie together
    invariant: float = 0.05  # weight of the visual invariant of the image flows
    max_bad: float = 0.05  # share of the studies that may be unreadable
    allow_outside: bool = False  # the manifest may name files outside its folder
    complete_pairs: bool = False  # make the images that studies lack, in the run's folder
    translator: str = "base"  # the model that makes CT of MRI, and MRI of CT, for them
    cache: str | None = None  # folder that keeps images as encoders and codecs take them
    card: str | None = None  # TOML with name, summary, licence and data of the model
    cross: CrossConfig = field(default_factory=CrossConfig)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=4000, batch=16, learning_rate=1e-3, ema_decay=0.995, device="auto"
        )
    )

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        if len(set(self.pair)) != len(self.pair) or len(self.pair) < 2:
            raise UsageError("pair: name two flows that differ")
        if not 0 <= self.drop < 1 or not 0 <= self.short <= 1 or not 0 <= self.max_bad <= 1:
            raise UsageError("drop must be in [0, 1), and short and max_bad in [0, 1]")
        if self.agreement < 0 or self.invariant < 0:
            raise UsageError("weights must not be negative")


def train_cross(
    config: CrossTrainConfig, out: Path, *, manifest: Path, resume: bool = False
) -> Iterator[Progress]:
    """Train a round and write `out/model`: all of `init`, and what the flows tell each other.

    Codecs, encoders and flows stay as they are; so does what a flow tells and hears if an earlier
    round has taught it: after `text-xray`, in `text-ct` only the flow of CT learns, and in `ct-mri`
    only that of MRI.

    Args:
        config: What to train, on what, and how.
        out: The run's folder: snapshots, `metrics.jsonl`, and the model at the end.
        manifest: Studies with both modalities; those of split `train`, or without one.
        resume: Continue the run in `out`.

    Yields:
        Progress after every step.

    Raises:
        UsageError: If there is nothing to learn, or to learn from, or a setting does not fit.
        InputError: If the manifest is wrong, or too many studies cannot be read.
        ModelError: If `init` lacks a flow, an encoder or a codec.
        OutputError: If `out` cannot be written.
    """
    card = card_of(config.card, "flows", "generate")  # its mistakes must not wait for the end
    init = model_folder(config.init)
    device = join(config.fit.device).device  # each process has its own
    names = [str(name) for name in config.pair]
    flows: dict[str, Flow] = {}
    for name in config.pair:
        flows[str(name)] = load_flow(init, name, device).flow.requires_grad_(False)
    torch.manual_seed(config.fit.seed)
    guide, new = to_teach(load_guide(init, flows), flows, config)
    paired = _with_pairs(config, manifest, out)
    encoders = load_aligner(init, device)
    studies = _studies(config, flows, manifest, paired.studies, encoders, device)
    deal = {name: FlowItems([], config.drop, config.short, config.fit.seed) for name in names}
    items = CrossItems(studies, deal, config.fit.seed, config.short)
    reader = FlowLoss(encoders.aligner.text_encoder, encoders.tokenizer)
    loss = CrossLoss(flows, reader, config.agreement, config.invariant)
    training = CrossTraining(guide)
    hashes = {name: part.sha256 for name, part in read_card(init).parts.items()}
    facts = {
        "config": facts_of(config),
        "studies": len(studies),
        "made": paired.made,
        "frozen": hashes,
    }
    yield from fit(training, items, loss, config.fit, out, resume=resume, card=facts)
    if join(config.fit.device).rank == 0:
        step, state = averaged_weights(out)
        said = {key.removeprefix("guide."): tensor for key, tensor in state.items()}
        extra: dict[str, object] = {f"training-{'-'.join(names)}": facts}
        listeners = [f"{LISTENER}-{name}" for name in new]
        card = descended(replace(card, steps=step, extra=extra), init, *listeners)
        save_guide(out / MODEL, card, guide, said, new, beside=init)


def to_teach(
    taught: CrossGuide, flows: Mapping[str, Flow], config: CrossTrainConfig
) -> tuple[CrossGuide, list[str]]:
    """What a round trains: all that flows tell each other, of which the taught part is frozen.

    Args:
        taught: What earlier rounds have taught.
        flows: Of the round, by name.
        config: Of the round.

    Returns:
        The guide, and the names of the flows that learn.

    Raises:
        UsageError: If all of them have learned already, or share a space of another size.
    """
    learned = sorted(taught.listeners)
    new = [name for name in flows if name not in learned]
    if not new:
        raise UsageError(_nothing_new(model_folder(config.init), list(flows), taught))
    guide = completed(taught, flows, config.cross)
    frozen(guide, learned)
    return guide, new


def _nothing_new(init: Path, names: Sequence[str], taught: CrossGuide) -> str:
    """Why two flows that have both learned in earlier rounds are not taught again."""
    said = f"{init}: {' and '.join(names)} "
    if any(taught.heard(name, names) for name in names):
        return f"{said}listen to each other already"
    return f"{said}have learned with others, and what they learned stays; start before those rounds"


def _with_pairs(config: CrossTrainConfig, manifest: Path, out: Path) -> Completed:
    """The studies to train on that have every modality of the round, or were given it.

    Raises:
        UsageError: If there are none; says which column of the manifest is missing.
    """
    listed = to_train_on(manifest, allow_outside=config.allow_outside)
    made: dict[str, int] = {}
    if config.complete_pairs:
        completed = _completed(config, listed, out / PAIRS)
        listed, made = completed.studies, completed.made
    paired = [study for study in listed if all(map(study.has, config.pair))]
    if not paired:
        lacking = {name: sum(not study.has(name) for study in listed) for name in config.pair}
        worst = max(lacking, key=lambda name: lacking[name])
        raise UsageError(
            f"{manifest}: no study to train on has {' and '.join(config.pair)}; "
            f"column {worst} is missing in {lacking[worst]} of {len(listed)}"
        )
    return Completed(paired, made)


def _completed(config: CrossTrainConfig, listed: Sequence[Study], folder: Path) -> Completed:
    """The first of several processes makes what is missing; the others wait, and find it there."""
    world = join(config.fit.device)

    def complete() -> Completed:
        return complete_pairs(
            listed,
            config.pair,
            folder,
            translator=config.translator,
            device=str(world.device),
        )

    if world.rank == 0:
        complete()
    world.number_from_first(0)
    return complete()


def _studies(
    config: CrossTrainConfig,
    flows: dict[str, Flow],
    manifest: Path,
    listed: Sequence[Study],
    encoders: LoadedAligner,
    device: torch.device,
) -> list[dict[str, FlowStudy]]:
    """The studies as each flow learns from them; volumes of one study on one grid."""
    volumes = {
        name: (
            flows[str(name)],
            codec_of(config.init, flows[str(name)].config, torch.device("cpu")),
        )
        for name in config.pair
        if FACTS[name].axes == 3
    }
    spacings = common_spacings(volumes)
    found: dict[str, dict[str, FlowStudy]] = {}
    for name, flow in flows.items():
        own = FlowTrainConfig(
            init=config.init,
            max_bad=config.max_bad,
            allow_outside=config.allow_outside,
            cache=config.cache,
            flow=replace(flow.config, spacings=spacings if flow.config.spacings else ()),
            fit=config.fit,
        )
        found[name] = flow_studies(
            own,
            manifest,
            encoders,
            device,
            listed=listed,
            grid_of=next(iter(volumes), None),
        )
    first, *others = found.values()
    both = [name for name in first if all(name in of for of in others)]
    if not both:
        raise UsageError(f"{manifest}: no study has {' and '.join(flows)} that can be read")
    return [{name: of[study] for name, of in found.items()} for study in both]
