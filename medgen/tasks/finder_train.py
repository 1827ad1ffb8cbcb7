"""Train a finder: images and what is true of them in, the answers to claims out."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from medgen.align.augment import AugmentConfig, augmented_with
from medgen.align.grounding import grounding_loss
from medgen.checkpoint import model_folder
from medgen.data.manifest import read_manifest
from medgen.data.masks import mask_files
from medgen.data.standard import StandardConfig
from medgen.data.study import Split, Study
from medgen.data.view_cache import cached_mask, cached_view
from medgen.diffusion.noise import generator_for
from medgen.encoders.finder import Finder, FinderConfig, Found
from medgen.errors import MedgenError, UsageError
from medgen.metrics.phrases import Phrases, load_phrases
from medgen.modality import FACTS, Modality
from medgen.tasks.align_studies import IMAGES, augment_for
from medgen.tasks.distributed import join
from medgen.tasks.facts import Answers, Fact, answers_of, claims_of, regions_of, study_facts
from medgen.tasks.finder_calibrate import calibrated
from medgen.tasks.finder_model import Calibration, FinderPart, new_usual, save_finder
from medgen.tasks.finder_usual import RARE, Usual
from medgen.tasks.fit import MODEL, Progress, fit
from medgen.tasks.fit_config import FitConfig
from medgen.tasks.memory import give_back_large_arrays
from medgen.tasks.run_card import card_of, descended, facts_of
from medgen.tasks.snapshots import averaged_weights
from medgen.tasks.unreadable import Unreadable

LOG = logging.getLogger(__name__)
HELD_BACK = 10  # every so many-th study calibrates the answers and is not learned from
PRESENT = 0.25  # of a cell: that much of a finding counts


@dataclass(frozen=True)
class FinderTrainConfig:
    """What `medgen train --round report:finder` is asked to do."""

    init: str | None = None  # a model whose other parts are kept
    looking: float = 0.3  # weight of: a claim looks where the finding is; with masks
    grounding: float = 1.0  # weight of: cells say which findings lie in them; with masks
    details: float = 0.1  # weight of size, severity and region
    drop: float = 0.3  # share of the images of a study with several that are not shown
    max_bad: float = 0.05  # share of the studies that may be unreadable
    allow_outside: bool = False  # the manifest may name files outside its folder
    cache: str | None = None  # folder that keeps images as encoders take them
    card: str | None = None  # TOML with name, summary, licence and data of the model
    finder: FinderConfig = field(default_factory=FinderConfig)
    standard: StandardConfig = field(default_factory=StandardConfig)
    augment: AugmentConfig = field(
        default_factory=lambda: AugmentConfig(degrees=5.0, zoom=0.07, shift=0.04, erase=0.0)
    )
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=4000,
            batch=32,
            learning_rate=2e-3,
            weight_decay=0.05,
            ema_decay=0.99,
            device="auto",
        )
    )

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        if min(self.looking, self.grounding, self.details) < 0:
            raise UsageError("weights must not be negative")
        if not 0 <= self.drop < 1 or not 0 <= self.max_bad <= 1:
            raise UsageError("drop must be in [0, 1), and max_bad in [0, 1]")
        if not set(self.finder.modalities) <= set(IMAGES) or not self.finder.modalities:
            raise UsageError("finder.modalities: name some of xray, ct, mri")


@dataclass(frozen=True)
class FinderImage:
    """One image in memory, half precision: its standard view, and the masks of its findings."""

    modality: Modality
    view: Tensor
    masks: Mapping[str, Tensor] | None


@dataclass(frozen=True)
class FinderStudy:
    """A study to learn from."""

    id: str
    facts: Sequence[Fact]
    images: Sequence[FinderImage]


@dataclass(frozen=True)
class FinderItem:
    """What one study gives to a batch: images, where the findings lie in them, and the truth."""

    images: Sequence[tuple[Modality, Tensor, Tensor | None]]
    answers: Answers


@dataclass(frozen=True)
class FinderItems:
    """Item number -> item: a pure function, whatever was asked before."""

    studies: Sequence[FinderStudy]
    config: FinderTrainConfig
    names: tuple[str, ...]  # of the findings whose masks are given

    def __call__(self, number: int) -> FinderItem:
        """A study in random order, its images moved and lit a little differently."""
        generator = generator_for(self.config.fit.seed, number)
        study = self.studies[int(torch.randint(len(self.studies), (), generator=generator))]
        order = torch.randperm(len(study.images), generator=generator).tolist()
        shown = [
            at
            for rank, at in enumerate(order)
            if rank == 0 or float(torch.rand((), generator=generator)) >= self.config.drop
        ]
        images = []
        for image in (study.images[at] for at in shown):
            view = image.view.float()
            masks = None
            if image.masks is not None:
                nothing = torch.zeros([size // 2 for size in view.shape[1:]])
                masks = torch.stack(
                    [image.masks[n].float() if n in image.masks else nothing for n in self.names]
                )
            augment = augment_for(image.modality, self.config.augment)
            images.append((image.modality, *augmented_with(view, masks, generator, augment)))
        shape = self.config.finder
        return FinderItem(images, answers_of(study.facts, shape.claims, shape.regions))


class FinderTraining(nn.Module):
    """A finder, and heads on its two coarsest levels that only training needs.

    Args:
        finder: What is trained.
        names: Of the findings that have masks.
    """

    def __init__(self, finder: Finder, names: Sequence[str]) -> None:
        super().__init__()
        self.finder = finder
        self.names = tuple(names)
        self.heads = nn.ModuleDict(
            {
                str(name): nn.ModuleList(
                    nn.Linear(width, len(names)) for width in finder.config.widths[-2:]
                )
                for name in (finder.config.modalities if names else ())
            }
        )


@dataclass(frozen=True)
class FinderLoss:
    """Training and items in, loss terms out."""

    config: FinderTrainConfig

    def __call__(
        self, training: FinderTraining, items: Sequence[FinderItem]
    ) -> Mapping[str, Tensor]:
        """The terms have the same names whatever the items lack."""
        finder, config = training.finder, self.config
        seen = _Seen([[] for _ in items], [[] for _ in items], [])
        for modality in config.finder.modalities:
            _see(training, modality, items, seen)
        device = finder.query.device
        count = torch.tensor([sum(map(len, each)) for each in seen.tokens], device=device)
        tokens = pad_sequence([torch.cat(each) for each in seen.tokens], batch_first=True)
        mask = torch.arange(tokens.shape[1], device=device) < count[:, None]
        found = finder(tokens, mask.float())
        truth = _stacked([item.answers for item in items], device)
        nothing = found.odds.sum() * 0
        looking, grounding = nothing, nothing
        if training.names:
            where = pad_sequence([torch.cat(each) for each in seen.cells], batch_first=True)
            looking = _looking_loss(found, truth, where, finder.config.claims, training.names)
            grounding = torch.stack(seen.grounding).sum()
        claims, details = _claims_loss(found, truth), _details_loss(found, truth)
        total = claims + config.details * details
        total = total + config.looking * looking + config.grounding * grounding
        terms = {
            "claims": claims,
            "details": details,
            "looking": looking,
            "grounding": grounding,
        }
        return {"total": total, **{name: term.detach() for name, term in terms.items()}}


class _Seen(NamedTuple):
    """Of each study: tokens of its images, shares of findings in them; and grounding losses."""

    tokens: list[list[Tensor]]
    cells: list[list[Tensor]]
    grounding: list[Tensor]


def _see(
    training: FinderTraining, modality: Modality, items: Sequence[FinderItem], seen: _Seen
) -> None:
    """Add what all images of one modality show."""
    shown = [
        (at, view, mask)
        for at, item in enumerate(items)
        for kind, view, mask in item.images
        if kind is modality
    ]
    if not shown:
        return
    device = training.finder.query.device
    stack = training.finder.stack(modality)
    grids = stack(torch.stack([view for _, view, _ in shown]).to(device))
    for (at, _, _), tokens in zip(shown, stack.tokens(grids[-1]), strict=True):
        seen.tokens[at].append(tokens)
    if not training.names:
        return
    cells = grids[-1].shape[2:]
    finer = [2 * size for size in cells]
    nothing = torch.zeros(len(training.names), *finer)
    masks = [nothing if mask is None else _pooled(mask, finer) for _, _, mask in shown]
    drawn = torch.stack(masks).to(device)
    known = torch.tensor([mask is not None for _, _, mask in shown], device=device)
    heads = training.heads[str(modality)].children()
    logits = [head(grid.flatten(2).mT) for head, grid in zip(heads, grids[-2:], strict=True)]
    seen.grounding.append(grounding_loss(logits, drawn, known))
    for (at, _, mask), share in zip(shown, _pooled(drawn, cells).flatten(2).mT, strict=True):
        seen.cells[at].append(share if mask is not None else share * math.nan)


def _pooled(masks: Tensor, cells: Sequence[int]) -> Tensor:
    """The largest share within each cell of a coarser grid."""
    pool = F.adaptive_max_pool2d if len(cells) == 2 else F.adaptive_max_pool3d
    return pool(masks, list(cells))


def _stacked(answers: Sequence[Answers], device: torch.device) -> Answers:
    return Answers(
        *(
            torch.stack([getattr(one, name) for one in answers]).to(device)
            for name in ("there", "size", "severity", "region")
        )
    )


def _claims_loss(found: Found, truth: Answers) -> Tensor:
    """Cross-entropy over the claims that somebody knows the answer to: a study's sum."""
    known = ~truth.there.isnan()
    each = F.binary_cross_entropy_with_logits(
        found.odds, truth.there.nan_to_num(0.0), reduction="none"
    )
    return (each * known).sum(1).mean()


def _details_loss(found: Found, truth: Answers) -> Tensor:
    """Size, severity and region of what is there: means over those that somebody tells."""
    measured = ~truth.size.isnan()
    off = (found.size - truth.size.nan_to_num(0.0)).abs()
    size = (off * measured).sum() / measured.sum().clamp(min=1)
    parts = [size]
    for odds, right in ((found.severity, truth.severity), (found.region, truth.region)):
        if odds.shape[-1]:
            told = (right >= 0).sum().clamp(min=1)
            wrong = F.cross_entropy(
                odds.flatten(0, 1), right.flatten(), ignore_index=-1, reduction="sum"
            )
            parts.append(wrong / told)
    return torch.stack(parts).sum()


def _looking_loss(
    found: Found, truth: Answers, where: Tensor, claims: Sequence[str], names: Sequence[str]
) -> Tensor:
    """Nats that a true claim's attention is away from its finding's cells.

    Of a finding on both sides the cells of either claim are those of both: the side is learned
    from the answers.

    Args:
        found: The answers.
        truth: The right ones.
        where: Share of each finding in each token, NaN where nobody drew it.
        claims: Of the finder.
        names: Of the findings that have masks.
    """
    losses, counts = [found.odds.sum() * 0], [torch.zeros((), device=where.device)]
    for at, claim in enumerate(claims):
        name = claim.partition(":")[0]
        if name not in names:
            continue
        cells = where[..., list(names).index(name)] > PRESENT  # NaN is not
        told = (truth.there[:, at] == 1) & cells.any(1)
        share = (found.attention[:, at] * cells).sum(1)
        losses.append(-(share.clamp(min=1e-6).log() * told).sum())
        counts.append(told.sum())
    return torch.stack(losses).sum() / torch.stack(counts).sum().clamp(min=1)


def train_finder(
    config: FinderTrainConfig, out: Path, *, manifest: Path, resume: bool = False
) -> Iterator[Progress]:
    """Train a finder and write `out/model`: all of `init`, and the finder.

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
    studies = finder_studies(config, manifest)
    learned, held = _held_back(studies)
    config = replace(config, finder=_with_claims(config.finder, learned))
    names = _drawn(learned) if config.looking or config.grounding else ()
    torch.manual_seed(config.fit.seed)
    training = FinderTraining(Finder(config.finder), names)
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
        finder = training.finder
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


def _calibration(
    finder: Finder,
    usual: nn.ModuleDict,
    config: FinderTrainConfig,
    learned: Sequence[FinderStudy],
    held: Sequence[FinderStudy],
) -> Calibration:
    """What the answers are worth, which of them tell more, and what images look like."""
    claims, regions = config.finder.claims, config.finder.regions
    odds = torch.stack([odds_of(finder, study) for study in held])
    truth = torch.stack([answers_of(study.facts, claims, regions).there for study in held])
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
    claims = shape.claims or claims_of(facts)
    if not claims:
        raise UsageError("nothing to learn from: no study to train on has a finding")
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
        if study.split in (None, Split.TRAIN) and any(map(study.of, config.finder.modalities))
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
    wants_masks = bool(config.looking or config.grounding) and study.masks is not None
    images = []
    for modality in config.finder.modalities:
        for path in study.of(modality):
            view = torch.from_numpy(cached_view(path, modality, config.standard, cache))
            masks = None
            if wants_masks and study.masks is not None:
                files = mask_files(study.masks, axes=FACTS[modality].axes)
                masks = {
                    name: torch.from_numpy(
                        cached_mask(file, path, modality, config.standard, cache)
                    )
                    for name, file in files.items()
                }
            images.append(FinderImage(modality, view, masks))
    return FinderStudy(study.id, facts, images)
