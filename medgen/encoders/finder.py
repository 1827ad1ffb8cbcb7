"""What images show: claims that ask the images of a study, and what each is answered.

A claim is a finding and, where it has one, a side of the patient. Each has a query of its own that
looks over the cells of all images; where it looks is what its answer rests on.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from monai.networks.layers.factories import Conv, Norm
from torch import Tensor, nn

from medgen.config import check_least, check_once
from medgen.data.standard import channels_of
from medgen.encoders.places import OCTAVES, Grid, places
from medgen.encoders.spots import Spots
from medgen.errors import UsageError
from medgen.finding import Side
from medgen.modality import FACTS, Kind
from medgen.shapes import Context, Image

SEVERITIES = ("small", "moderate", "large")
SIDES = (Side.LEFT, Side.RIGHT)  # of a patient
RARE = -2.0  # log-odds that every claim starts with


@dataclass(frozen=True)
class FinderConfig:
    """The size of a finder.

    Attributes:
        claims: `finding` or `finding:side`, in the order of the answers.
        regions: Places within a side, of which a claim is told one.
        kinds: Of the images that it reads, each by convolutions of its own; without contrasts.
        widths: Channels of every level of these, finest first; each level halves the grid.
        width: Of the tokens.
        blotted: Share of the tokens' channels that training drops.
        spots: Findings that are also looked for voxel by voxel, in volumes only.
        spot_width: Channels of the convolutions that do.
    """

    claims: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("xray",)
    widths: tuple[int, ...] = (16, 32, 64, 128)
    width: int = 128
    blotted: float = 0.2
    spots: tuple[str, ...] = ()
    spot_width: int = 24

    def __post_init__(self) -> None:
        """Raises UsageError for a network that cannot be built, or a claim that nobody can make."""
        check_least(self, 1, "widths", "width", "spot_width")
        if not 0 <= self.blotted < 1:
            raise UsageError(f"blotted {self.blotted:g}: choose a share in [0, 1)")
        check_once(self, "claims", "regions", "kinds", "spots")
        for claim in self.claims:
            name, colon, side = claim.partition(":")
            if not name or (colon and side not in SIDES):
                raise UsageError(f"claim '{claim}': write FINDING, FINDING:left or FINDING:right")


@dataclass(frozen=True)
class Found:
    """The answers to all claims, of a batch of studies.

    Attributes:
        odds: Log-odds that the claim is true.
        size: Natural logarithm of its size, in the unit that it is measured in.
        severity: Log-odds of small, moderate and large.
        region: Log-odds of each region.
        attention: Where each claim looks: shares of all cells of all images; they sum to 1.
        state: What it saw there.
        heard: What spots say for each claim, 0 or more; already in `odds`.
    """

    odds: Float[Tensor, "batch claims"]
    size: Float[Tensor, "batch claims"]
    severity: Float[Tensor, "batch claims severities"]
    region: Float[Tensor, "batch claims regions"]
    attention: Float[Tensor, "batch claims tokens"]
    state: Float[Tensor, "batch claims width"]
    heard: Float[Tensor, "batch claims"]


class Stack(nn.Module):
    """Strided convolutions, and the coarsest grid as tokens that know their place.

    Behind a token's own channels stand the peaks of the `spots` in its cell, for either side of the
    patient; 0 in radiographs.

    Args:
        kind: Of the images.
        config: Widths of the levels and of the tokens.
    """

    def __init__(self, kind: Kind, config: FinderConfig) -> None:
        super().__init__()
        axes, channels = FACTS[kind.modality].axes, channels_of(kind.modality)
        convolution, norm = Conv[Conv.CONV, axes], Norm[Norm.BATCH, axes]
        self.levels = nn.ModuleList(
            nn.Sequential(
                convolution(above, below, 3, stride=2, padding=1),
                norm(below),
                nn.ReLU(),
                convolution(below, below, 3, padding=1),
                norm(below),
                nn.ReLU(),
            )
            for above, below in pairwise((channels, *config.widths))
        )
        self.cell = nn.Linear(config.widths[-1], config.width)
        self.place = nn.Linear(2 * OCTAVES * axes, config.width)
        self.peaks = len(SIDES) * len(config.spots)
        self.spots = None
        if config.spots and axes == 3:
            self.spots = Spots(channels, len(config.spots), config.spot_width)
            self.spots.requires_grad_(requires_grad=False)  # they learn from crops alone

    def forward(self, image: Image) -> list[Grid]:
        """One grid a level, the finest first."""
        grids = [image]
        for level in self.levels:
            grids.append(level(grids[-1]))
        return grids[1:]

    def tokens(self, coarsest: Grid, image: Image) -> Context:
        """The cells of the coarsest grid of an image; its last axis is the fastest."""
        cells = coarsest.flatten(2).mT  # (batch, tokens, channels)
        where: Tensor = self.place(places(coarsest.shape[2:]).to(cells))
        tokens: Context = self.cell(cells) + where
        peaks = tokens.new_zeros(*tokens.shape[:2], self.peaks)
        if self.spots is not None:
            peaks = self.spots.peaks(image, coarsest.shape[2:]).flatten(2).mT.to(tokens)
        return torch.cat([tokens, peaks], dim=-1)


class Finder(nn.Module):
    """`finder(tokens) -> Found`: any number of images of a study, in any order.

    A claim scores every cell. It looks where its scores are high, and it is the surer the more
    they stand out: the mean of their exponentials, in which an image seen twice counts as once.
    Peaks of the spots of its finding and side draw its look, and the highest of them speaks for
    itself, as loud as the claim `hears` it: studies that spots have not learned from tell how loud.

    Source: the attention is that of Ilse et al. 2018 (arXiv:1802.04712), one for each claim.
    """

    def __init__(self, config: FinderConfig) -> None:
        super().__init__()
        self.config = config
        claims, width = len(config.claims), config.width
        answers = 2 + len(SEVERITIES) + len(config.regions)
        self.stacks = nn.ModuleDict(
            {word: Stack(Kind.parse(word), config) for word in config.kinds}
        )
        self.query = nn.Parameter(torch.randn(claims, width) * 0.1)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.answer = nn.Parameter(torch.randn(claims, answers, width) * 0.05)
        self.bias = nn.Parameter(torch.zeros(claims, answers))
        self.louder = nn.Parameter(torch.ones(claims))
        self.hears = nn.Parameter(torch.ones(claims), requires_grad=False) if config.spots else None
        self.own: Tensor
        self.register_buffer("own", _own_peaks(config), persistent=False)
        nn.init.constant_(self.bias[:, 0], RARE)

    def stack(self, kind: Kind) -> Stack:
        """The convolutions of a kind of images, whatever their contrast."""
        found = self.stacks[str(kind.plain)]
        if not isinstance(found, Stack):
            raise TypeError(kind)
        return found

    def alone(self, kind: Kind) -> "Finder":
        """The same finder, of one kind of images."""
        spots = self.config.spots if FACTS[kind.modality].axes == 3 else ()
        one = Finder(replace(self.config, kinds=(str(kind.plain),), spots=spots))
        state = self.state_dict()
        one.load_state_dict({name: state[name] for name in one.state_dict()})
        return one

    def tokens(self, kind: Kind, image: Image) -> Context:
        """The tokens of a batch of images of one kind, with their peaks."""
        stack = self.stack(kind)
        return stack.tokens(stack(image)[-1], image)

    def forward(self, tokens: Context, mask: Float[Tensor, "batch tokens"] | None = None) -> Found:
        """The answers from the tokens of all images of each study.

        Args:
            tokens: In any order, with their peaks.
            mask: 0 where there is no token, 1 elsewhere; None if all are there. A study needs one.
        """
        tokens, peaks = tokens[..., : self.config.width], tokens[..., self.config.width :]
        tokens = F.dropout(tokens, self.config.blotted, self.training)
        scores = self.query @ self.key(tokens).mT / self.config.width**0.5
        evidence = self.own @ peaks.mT  # (batch, claims, tokens)
        heard = evidence.amax(-1)
        scores = scores + evidence
        count = scores.new_full(scores.shape[:1], tokens.shape[1])
        if mask is not None:
            scores = scores.masked_fill(mask[:, None] == 0, float("-inf"))
            count = mask.sum(1).to(scores)
        attention = scores.softmax(-1)
        state = attention @ self.value(tokens)  # (batch, claims, width)
        answers = torch.einsum("bcw,caw->bca", state, self.answer) + self.bias
        stands_out = scores.logsumexp(-1) - count.log()[:, None]
        size, severity, region = answers[..., 1:].split(
            (1, len(SEVERITIES), len(self.config.regions)), dim=-1
        )
        odds = answers[..., 0] + self.louder * stands_out
        if self.hears is not None:
            odds = odds + self.hears * heard
        return Found(odds, size[..., 0], severity, region, attention, state, heard)


def _own_peaks(config: FinderConfig) -> Float[Tensor, "claims peaks"]:
    """1 where a peak is of a claim's finding and side, of either side where it has none."""
    peaks = [f"{name}:{side}" for side in SIDES for name in config.spots]
    own = [[claim in (one, one.partition(":")[0]) for one in peaks] for claim in config.claims]
    return torch.tensor(own, dtype=torch.float).view(len(config.claims), len(peaks))
