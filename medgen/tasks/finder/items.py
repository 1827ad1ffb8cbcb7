"""What a finder learns from, and how wrong its answers are."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from medgen.align.augment import augmented_with
from medgen.align.grounding import PRESENT, grounding_loss
from medgen.data.standard import in_cells
from medgen.diffusion.noise import generator_for
from medgen.encoders.finder import Finder, Found
from medgen.modality import Kind
from medgen.tasks.facts import Answers, Fact, answers_of
from medgen.tasks.finder.config import FinderTrainConfig
from medgen.tasks.studies import augment_for, one_of, stacked


@dataclass(frozen=True)
class FinderImage:
    """One image in memory, half precision: its standard view, and the masks of its findings."""

    kind: Kind  # without its contrast
    view: Tensor
    masks: Mapping[str, Tensor] | None


@dataclass(frozen=True)
class FinderStudy:
    """A study to learn from."""

    id: str
    patient: str
    facts: Sequence[Fact]
    images: Sequence[FinderImage]


@dataclass(frozen=True)
class FinderItem:
    """What one study gives to a batch: images, where the findings lie in them, and the truth."""

    images: Sequence[tuple[Kind, Tensor, Tensor | None]]
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
        study = one_of(self.studies, generator)
        order = torch.randperm(len(study.images), generator=generator).tolist()
        shown = [
            at
            for rank, at in enumerate(order)
            if rank == 0 or float(torch.rand((), generator=generator)) >= self.config.drop
        ]
        images = []
        for image in (study.images[at] for at in shown):
            view = image.view.float()
            masks = None if image.masks is None else stacked(self.names, image.masks, view)
            augment = augment_for(image.kind.modality, self.config.augment)
            images.append((image.kind, *augmented_with(view, masks, generator, augment)))
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
                kind: nn.ModuleList(
                    nn.Linear(width, len(names)) for width in finder.config.widths[-2:]
                )
                for kind in (finder.config.kinds if names else ())
            }
        )

    def train(self, mode: bool = True) -> "FinderTraining":
        """Train, or not; what is frozen works as it will, its statistics too."""
        super().train(mode)
        for part in self.finder.stacks.modules():
            learns = [parameter.requires_grad for parameter in part.parameters()]
            if learns and not any(learns):
                part.eval()
        return self


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
        for kind in map(Kind.parse, config.finder.kinds):
            _see(training, kind, items, seen)
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


def _see(training: FinderTraining, kind: Kind, items: Sequence[FinderItem], seen: _Seen) -> None:
    """Add what all images of one kind show."""
    shown = [
        (at, view, mask)
        for at, item in enumerate(items)
        for own, view, mask in item.images
        if own == kind
    ]
    if not shown:
        return
    device = training.finder.query.device
    stack = training.finder.stack(kind)
    views = torch.stack([view for _, view, _ in shown]).to(device)
    grids = stack(views)
    for (at, _, _), tokens in zip(shown, stack.tokens(grids[-1], views), strict=True):
        seen.tokens[at].append(tokens)
    if not training.names:
        return
    cells = grids[-1].shape[2:]
    finer = [2 * size for size in cells]
    nothing = torch.zeros(len(training.names), *finer)
    masks = [nothing if mask is None else in_cells(mask, finer) for _, _, mask in shown]
    drawn = torch.stack(masks).to(device)
    known = torch.tensor([mask is not None for _, _, mask in shown], device=device)
    heads = training.heads[str(kind)].children()
    logits = [head(grid.flatten(2).mT) for head, grid in zip(heads, grids[-2:], strict=True)]
    seen.grounding.append(grounding_loss(logits, drawn, known))
    for (at, _, mask), share in zip(shown, in_cells(drawn, cells).flatten(2).mT, strict=True):
        seen.cells[at].append(share if mask is not None else share * math.nan)


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
    """Nats that a true claim's attention is away from its finding's cells, in images with masks.

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
        drawn = where[..., list(names).index(name)]
        cells, known = drawn > PRESENT, ~drawn.isnan()
        told = (truth.there[:, at] == 1) & cells.any(1)
        looks = found.attention[:, at]
        share = (looks * cells).sum(1) / (looks * known).sum(1).clamp(min=1e-6)
        losses.append(-(share.clamp(min=1e-6).log() * told).sum())
        counts.append(told.sum())
    return torch.stack(losses).sum() / torch.stack(counts).sum().clamp(min=1)
