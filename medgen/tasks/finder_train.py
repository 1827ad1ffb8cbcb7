"""Train a finder: images and what is true of them in, the answers to claims out."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from medgen.checkpoint import model_folder, read_card
from medgen.data.manifest import read_manifest
from medgen.data.masks import mask_files
from medgen.data.study import Study
from medgen.data.view_cache import cached_mask, cached_view
from medgen.encoders.finder import Finder, FinderConfig
from medgen.errors import MedgenError, UsageError
from medgen.metrics.phrases import Phrases, load_phrases
from medgen.modality import FACTS, Kind, Modality
from medgen.tasks.distributed import join
from medgen.tasks.facts import Answers, answers_of, claims_of, regions_of, study_facts
from medgen.tasks.finder_calibrate import calibrated
from medgen.tasks.finder_config import FinderTrainConfig
from medgen.tasks.finder_items import (
    FinderImage,
    FinderItems,
    FinderLoss,
    FinderStudy,
    FinderTraining,
)
from medgen.tasks.finder_model import (
    FINDER,
    Calibration,
    FinderPart,
    LoadedFinder,
    load_finder,
    new_usual,
    save_finder,
)
from medgen.tasks.finder_usual import RARE, Usual
from medgen.tasks.fit import MODEL, Progress, fit
from medgen.tasks.memory import give_back_large_arrays
from medgen.tasks.run_card import card_of, descended, facts_of
from medgen.tasks.shape import keep_shape
from medgen.tasks.snapshots import averaged_weights
from medgen.tasks.unreadable import Unreadable

LOG = logging.getLogger(__name__)
HELD_BACK = 10  # every so many-th study calibrates the answers and is not learned from


def train_finder(
    config: FinderTrainConfig, out: Path, *, manifest: Path, resume: bool = False
) -> Iterator[Progress]:
    """Train a finder and write `out/model`: all of `init`, and the finder.

    The finder of `init` goes on, and learns to read images of other modalities beside its own.

    Args:
        config: What to train, on what, and how.
        out: The run's folder: snapshots, `metrics.jsonl`, and the model at the end.
        manifest: Studies with images and either facts or reports; those of split `train`, or
            without one. Every tenth calibrates the answers instead of being learned from.
        resume: Continue the run in `out`.

    Yields:
        Progress after every step.

    Raises:
        UsageError: If there is nothing to learn from, or a setting does not fit.
        InputError: If the manifest is wrong, or too many studies cannot be read.
        OutputError: If `out` cannot be written.
    """
    card = card_of(config.card, "reports", "report")  # its mistakes must not wait for the end
    before = _before(config)
    if before:
        config = _going_on(config, before)
    studies = finder_studies(config, manifest)
    learned, held = _held_back(studies)
    config = replace(config, finder=_with_claims(config.finder, learned))
    names = _drawn(learned) if config.looking or config.grounding else ()
    torch.manual_seed(config.fit.seed)
    finder = Finder(config.finder)
    if before:
        finder.load_state_dict(finder.state_dict() | before.finder.state_dict())
    training = FinderTraining(finder, names)
    items = FinderItems(learned, config, names)
    facts = {"config": facts_of(config), "studies": len(learned), "masks": names}
    yield from fit(training, items, FinderLoss(config), config.fit, out, resume=resume, card=facts)
    if join(config.fit.device).rank == 0:
        step, state = averaged_weights(out)
        state = {
            name.removeprefix("finder."): tensor
            for name, tensor in state.items()
            if name.startswith("finder.")
        }
        finder.load_state_dict(state)
        usual = new_usual(config.finder)
        part = FinderPart(
            config.finder,
            config.standard,
            _calibration(finder.eval(), usual, config, learned, held),
        )
        extra = {"training-finder": facts_of(config)}
        init = model_folder(config.init) if config.init else None
        card = descended(replace(card, steps=step, extra=extra), init, "finder")
        save_finder(out / MODEL, card, part, state, usual, beside=init)


def _before(config: FinderTrainConfig) -> LoadedFinder | None:
    """The finder of `init`, where there is one."""
    if config.init is None or FINDER not in read_card(model_folder(config.init)).parts:
        return None
    return load_finder(config.init, torch.device("cpu"))


def _going_on(config: FinderTrainConfig, before: LoadedFinder) -> FinderTrainConfig:
    """What is asked for, in the shape of the finder that goes on; it may read more modalities.

    Raises:
        UsageError: If another shape is asked for.
    """
    own, usual = before.finder.config, FinderConfig()
    keep_shape(*(replace(one, modalities=()) for one in (config.finder, own, usual)))
    reads = tuple(dict.fromkeys((*own.modalities, *config.finder.modalities)))
    standard = before.standard
    if all(FACTS[each].axes == 2 for each in own.modalities):
        standard = replace(config.standard, side=standard.side)  # it knows no volumes yet
    return replace(config, finder=replace(own, modalities=reads), standard=standard)


def _calibration(
    finder: Finder,
    usual: nn.ModuleDict,
    config: FinderTrainConfig,
    learned: Sequence[FinderStudy],
    held: Sequence[FinderStudy],
) -> Calibration:
    """What the answers are worth, which of them tell more, and what images look like."""
    claims, regions = config.finder.claims, config.finder.regions
    shown = [one for study in held for one in _shown(study)]
    odds = torch.stack([odds_of(finder, study) for study in shown])
    truth = torch.stack([answers_of(study.facts, claims, regions).there for study in shown])
    taught = [answers_of(study.facts, claims, regions) for study in learned]

    def told(is_told: Callable[[Answers], Tensor]) -> tuple[str, ...]:
        times = torch.stack([is_told(one) for one in taught]).sum(0).tolist()
        return tuple(claim for claim, count in zip(claims, times, strict=True) if count)

    foreign = {}
    for modality, one in zip(config.finder.modalities, usual.children(), strict=True):
        if isinstance(one, Usual) and (views := _views(learned, modality)):
            one.learn(views)
            seen = [one.foreign(view) for view in _views(held, modality)]
            foreign[str(modality)] = round(float(torch.tensor(seen or [0.0]).quantile(RARE)), 4)
    return replace(
        calibrated(odds, truth),
        sized=told(lambda one: ~one.size.isnan()),
        graded=told(lambda one: one.severity >= 0),
        placed=told(lambda one: one.region >= 0),
        foreign=foreign,
    )


def _shown(study: FinderStudy) -> list[FinderStudy]:
    """A study as a user may show it: whole, each modality of several, and the first view of it."""
    kinds = dict.fromkeys(image.modality for image in study.images)
    alone = [[image for image in study.images if image.modality is kind] for kind in kinds]
    first = [images[:1] for images in alone if len(images) > 1]
    several = alone if len(alone) > 1 else []
    return [study, *(replace(study, images=images) for images in (*several, *first))]


def _views(studies: Sequence[FinderStudy], modality: Modality) -> list[Tensor]:
    return [one.view for study in studies for one in study.images if one.modality is modality]


@torch.no_grad()
def odds_of(finder: Finder, study: FinderStudy) -> Tensor:
    """What a finder in eval mode answers of a study, log-odds."""
    device = finder.query.device
    tokens = [
        finder.tokens(one.modality, one.view[None].float().to(device)) for one in study.images
    ]
    return finder(torch.cat(tokens, dim=1)).odds[0].float().cpu()


def _held_back(
    studies: Sequence[FinderStudy],
) -> tuple[list[FinderStudy], list[FinderStudy]]:
    """What is learned from, and what calibrates; of very few studies, all do both."""
    kept = [study for at, study in enumerate(studies, start=1) if at % HELD_BACK]
    held = list(studies[HELD_BACK - 1 :: HELD_BACK])
    return (kept, held) if held else (kept, kept)


def _with_claims(shape: FinderConfig, studies: Sequence[FinderStudy]) -> FinderConfig:
    """The finder's shape with the claims and regions of the studies."""
    facts = [study.facts for study in studies]
    told = claims_of(facts)
    claims = shape.claims or told
    if not claims:
        raise UsageError("nothing to learn from: no study to train on has a finding")
    if left_out := sorted(set(told) - set(claims)):
        LOG.warning("the finder does not ask about %s", ", ".join(left_out))
    return replace(shape, claims=claims, regions=shape.regions or regions_of(facts))


def _drawn(studies: Sequence[FinderStudy]) -> tuple[str, ...]:
    """The findings that somebody drew."""
    masks = (image.masks for study in studies for image in study.images if image.masks)
    return tuple(sorted({name for each in masks for name in each}))


def finder_studies(config: FinderTrainConfig, manifest: Path) -> list[FinderStudy]:
    """The studies of a manifest in memory; what cannot be read is left out and told once."""
    give_back_large_arrays()
    listed = read_manifest(manifest, allow_outside=config.allow_outside)
    chosen = [
        study
        for study in listed
        if study.is_for_training and any(map(study.of, config.finder.modalities))
    ]
    if not chosen:
        words = ", ".join(config.finder.modalities)
        raise UsageError(f"{manifest}: no study to train on has {words}")
    unreadable = Unreadable(len(chosen), config.max_bad)
    phrases, studies = load_phrases(), []
    for at, study in enumerate(chosen):
        try:
            read = _read(study, config, phrases)
        except MedgenError as error:
            unreadable.leave_out(study.id, at + 1, error)
            continue
        if read is not None:
            studies.append(read)
    if not studies:
        raise UsageError(f"{manifest}: no study to train on has facts or a report")
    return studies


def _read(study: Study, config: FinderTrainConfig, phrases: Phrases) -> FinderStudy | None:
    facts = study_facts(study, phrases)
    if facts is None:
        return None
    cache = Path(config.cache) if config.cache else None
    wants_masks = bool(config.looking or config.grounding)
    images = []
    for kind, path in study.images.items():
        modality = kind.modality
        if modality not in config.finder.modalities:
            continue
        view = torch.from_numpy(cached_view(path, modality, config.standard, cache))
        masks = None
        if wants_masks and (files := _masks_of(study, kind)) is not None:
            masks = {
                name: torch.from_numpy(cached_mask(file, path, modality, config.standard, cache))
                for name, file in files.items()
            }
        images.append(FinderImage(modality, view, masks))
    return FinderStudy(study.id, facts, images)


def _masks_of(study: Study, kind: Kind) -> dict[str, Path] | None:
    """The masks of one image; None where nobody drew on it, though on others of the study."""
    if study.masks is None:
        return None
    files = mask_files(study.masks, axes=FACTS[kind.modality].axes, view=kind.view)
    is_drawn = bool(files) or not kind.view or not any(study.masks.iterdir())
    return files if is_drawn else None
