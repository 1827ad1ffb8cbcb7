"""Train a finder: images and what is true of them in, the answers to claims out."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from medgen.checkpoint import model_folder, read_card
from medgen.data.standard import StandardConfig
from medgen.encoders.finder import Finder, FinderConfig
from medgen.errors import UsageError
from medgen.metrics.phrases import load_phrases
from medgen.modality import FACTS, Kind
from medgen.tasks.facts import Answers, answers_of, claims_of, regions_of
from medgen.tasks.finder.config import FinderTrainConfig
from medgen.tasks.finder.items import FinderItems, FinderLoss, FinderStudy, FinderTraining
from medgen.tasks.finder.model import (
    FINDER,
    Calibration,
    FinderPart,
    LoadedFinder,
    load_finder,
    new_usual,
    save_finder,
)
from medgen.tasks.finder.studies import learned_and_held
from medgen.tasks.finder.usual import RARE, Usual
from medgen.tasks.finder.worth import learn_worth
from medgen.tasks.fitting.distributed import join
from medgen.tasks.fitting.fit import MODEL, Progress, fit
from medgen.tasks.fitting.freeze import freeze
from medgen.tasks.fitting.run_card import card_of, descended, facts_of
from medgen.tasks.fitting.shape import keep_shape
from medgen.tasks.fitting.snapshots import averaged_weights

LOG = logging.getLogger(__name__)


def train_finder(
    config: FinderTrainConfig, out: Path, *, manifest: Path, resume: bool = False
) -> Iterator[Progress]:
    """Train a finder and write `out/model`: all of `init`, and the finder.

    The finder of `init` goes on, and learns to read other kinds of images beside its own; of a
    radiograph from the side it first sees what it would see from the front. Spots stay as
    `--round report:spots` has taught them; how loud they are heard is learned anew.

    Args:
        config: What to train, on what, and how.
        out: The run's folder: snapshots, `metrics.jsonl`, and the model at the end.
        manifest: Studies with images and either facts or reports; those of split `train`, or
            without one. Every tenth patient calibrates the answers and is not learned from, unless
            `config.calibrate` lists others, of split `validation` or without one.
        resume: Continue the run in `out`.

    Yields:
        Progress after every step.

    Raises:
        UsageError: If there is nothing to learn from, a setting does not fit, or `torchrun` started
            several processes.
        InputError: If the manifest is wrong, or too many studies cannot be read.
        OutputError: If `out` cannot be written.
    """
    card = card_of(config.card, "reports", "report")  # its mistakes must not wait for the end
    if config.finder.spots or config.finder.spot_width != FinderConfig.spot_width:
        raise UsageError(
            "finder.spots and finder.spot_width: --round report:spots teaches them, to the finder "
            "of --init"
        )
    for claim in config.finder.claims:
        if ":" in claim and claim.partition(":")[0] in load_phrases().unsided:
            raise UsageError(f"claim '{claim}': this finding has no side; leave it out")
    if join(config.fit.device).size > 1:  # its norms and losses go by all images of a batch at once
        raise UsageError("--round report:finder: learns in one process; start it without torchrun")
    before = _before(config)
    if before:
        config = _going_on(config, before)
    wants_masks = bool(config.looking or config.grounding)
    learned, held = learned_and_held(config, manifest, wants_masks=wants_masks)
    config = replace(config, finder=_with_claims(config, learned))
    names = _drawn(learned) if wants_masks else ()
    torch.manual_seed(config.fit.seed)
    finder = Finder(config.finder)
    if before:
        finder.load_state_dict(_known(before.finder, finder))
    freeze(finder, config.freeze)
    training = FinderTraining(finder, names).train()
    items = FinderItems(learned, config, names)
    facts = {"config": facts_of(config), "studies": len(learned), "masks": names}
    yield from fit(training, items, FinderLoss(config), config.fit, out, resume=resume, card=facts)
    step, state = averaged_weights(out)
    state = {
        name.removeprefix("finder."): tensor
        for name, tensor in state.items()
        if name.startswith("finder.")
    }
    finder.load_state_dict(state)
    usual = new_usual(config.finder)
    foreign = _looks(usual, learned, held, before)
    calibration = _calibration(finder.eval(), config.finder, learned, held)
    part = FinderPart(config.finder, config.standard, replace(calibration, foreign=foreign))
    extra = {"training-finder": facts_of(config)}
    init = model_folder(config.init) if config.init else None
    card = descended(replace(card, steps=step, extra=extra), init, "finder")
    save_finder(out / MODEL, card, part, finder.state_dict(), usual, beside=init)


def as_going_on(config: FinderTrainConfig) -> FinderTrainConfig:
    """What is asked for, in the shape of the finder of `init` where there is one."""
    before = _before(config)
    return _going_on(config, before) if before else config


def _before(config: FinderTrainConfig) -> LoadedFinder | None:
    """The finder of `init`, where there is one."""
    if config.init is None or FINDER not in read_card(model_folder(config.init)).parts:
        return None
    return load_finder(config.init, torch.device("cpu"))


def _going_on(config: FinderTrainConfig, before: LoadedFinder) -> FinderTrainConfig:
    """What is asked for, in the shape of the finder that goes on; it may read more kinds.

    Raises:
        UsageError: If another shape is asked for, or other views.
    """
    own, usual = before.finder.config, FinderConfig()
    keep_shape(*(_without_spots(one) for one in (config.finder, own, usual)))
    reads = tuple(dict.fromkeys((*own.kinds, *config.finder.kinds)))
    standard = before.standard
    if all(FACTS[Kind.parse(each).modality].axes == 2 for each in own.kinds):
        standard = replace(config.standard, side=standard.side)  # it knows no volumes yet
    for each in fields(StandardConfig):
        has = getattr(standard, each.name)
        if getattr(config.standard, each.name) not in (has, each.default):
            raise UsageError(
                f"standard.{each.name}: the finder of --init sees views of {has}; leave it out"
            )
    return replace(config, finder=replace(own, kinds=reads), standard=standard)


def _without_spots(shape: FinderConfig) -> FinderConfig:
    """A shape but for what a finder may get later."""
    usual = FinderConfig()
    return replace(shape, kinds=(), spots=usual.spots, spot_width=usual.spot_width)


def _known(before: Finder, new: Finder) -> dict[str, Tensor]:
    """The weights that a finder goes on with; a new view begins as the view that is known.

    Claims and regions that are new stand behind those that are known, and begin as in `new`.
    """
    known = before.state_dict()
    state = dict(known)
    for kind in set(new.config.kinds) - set(before.config.kinds):
        like = f"stacks.{Kind.parse(kind).modality}."
        state |= {
            f"stacks.{kind}.{name.removeprefix(like)}": tensor
            for name, tensor in known.items()
            if name.startswith(like)
        }
    grown = {name: one.clone() for name, one in new.state_dict().items()}
    for name, tensor in state.items():
        grown[name][tuple(slice(size) for size in tensor.shape)] = tensor
    return grown


def _calibration(
    finder: Finder, shape: FinderConfig, learned: Sequence[FinderStudy], held: Sequence[FinderStudy]
) -> Calibration:
    """What the answers are worth, and which of them tell more."""
    taught = [answers_of(study.facts, shape.claims, shape.regions) for study in learned]

    def told(is_told: Callable[[Answers], Tensor]) -> tuple[str, ...]:
        times = torch.stack([is_told(one) for one in taught]).sum(0).tolist()
        return tuple(claim for claim, count in zip(shape.claims, times, strict=True) if count)

    return replace(
        learn_worth(finder, held),
        sized=told(lambda one: ~one.size.isnan()),
        graded=told(lambda one: one.severity >= 0),
        placed=told(lambda one: one.region >= 0),
    )


def _looks(
    usual: nn.ModuleDict,
    learned: Sequence[FinderStudy],
    held: Sequence[FinderStudy],
    before: LoadedFinder | None,
) -> dict[str, float]:
    """Learn what images look like, kind by kind; how much of one may be foreign."""
    foreign = dict(before.calibration.foreign) if before else {}
    for kind, one in usual.items():
        assert isinstance(one, Usual)
        if views := _views(learned, kind):
            one.learn(views)
            seen = [one.foreign(view) for view in _views(held, kind)]
            foreign[kind] = round(float(torch.tensor(seen or [0.0]).quantile(RARE)), 4)
        elif before and kind in before.usual:
            one.load_state_dict(before.usual[kind].state_dict())
    return foreign


def _views(studies: Sequence[FinderStudy], kind: str) -> list[Tensor]:
    return [one.view for study in studies for one in study.images if str(one.kind) == kind]


def _with_claims(config: FinderTrainConfig, studies: Sequence[FinderStudy]) -> FinderConfig:
    """The finder's shape with the claims and regions of the studies."""
    shape = config.finder
    facts = [study.facts for study in studies]
    told, named = claims_of(facts), regions_of(facts)
    if not (shape.claims or told):
        raise UsageError("nothing to learn from: no study to train on has a finding")
    if config.grows or not shape.claims:
        claims = tuple(dict.fromkeys((*shape.claims, *told)))
        return replace(shape, claims=claims, regions=tuple(dict.fromkeys((*shape.regions, *named))))
    if left_out := sorted(set(told) - set(shape.claims)):
        LOG.warning(
            "the finder does not ask about %s; it would with --set grows=true", ", ".join(left_out)
        )
    return replace(shape, regions=shape.regions or named)


def _drawn(studies: Sequence[FinderStudy]) -> tuple[str, ...]:
    """The findings that somebody drew."""
    masks = (image.masks for study in studies for image in study.images if image.masks)
    return tuple(sorted({name for each in masks for name in each}))
