"""Radiographs and volumes by what is found in them: a token for each claim, not for each cell.

A finder learns from masks and facts which findings there are, and where; no report says that as
plainly. What it has learned stays. Its answers are few, so that what reads them needs few studies;
and they mean the same whatever shows them, so that it reads those of CTs like those of radiographs.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from medgen.encoders.finder import SEVERITIES, Finder, FinderConfig, Found
from medgen.encoders.image import ImageEncoder, ImageEncoderConfig
from medgen.encoders.places import Grid
from medgen.encoders.reader import Reader
from medgen.modality import Kind
from medgen.shapes import Context, Image

SURE = 8.0  # log-odds beyond which an answer is no surer


class ClaimEncoder(ImageEncoder):
    """The claims of a finder, each with its answers, and what they amount to.

    Attributes:
        scale: Of each claim: what its log-odds are multiplied by, to be probabilities in truth.
        shift: What is then added.

    Args:
        config: With a finder of one kind of images.

    Raises:
        ValueError: If it has none, or one of several kinds.
    """

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__(config)
        finder = config.finder
        if finder is None or len(finder.kinds) != 1:
            raise ValueError("claims are those of a finder of one kind of images")
        (self.kind,) = map(Kind.parse, finder.kinds)
        self.finder = Finder(finder).eval()
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", torch.ones(len(finder.claims)))
        self.register_buffer("shift", torch.zeros(len(finder.claims)))
        self.claim = nn.Linear(2 + _likeness(finder), config.width)
        self.which = nn.Parameter(torch.randn(len(finder.claims), config.width) * 0.1)
        self.reader = Reader(
            config.width, layers=config.layers, heads=config.heads, embedding=config.embedding
        )

    @property
    def eyes(self) -> nn.Module:
        """The finder."""
        return self.finder

    def train(self, mode: bool = True) -> "ClaimEncoder":
        """Train, or not; the finder works as it will."""
        super().train(mode)
        self.finder.eval()
        return self

    def go_on_with(self, other: "ClaimEncoder") -> bool:
        """Read claims as another does that has learned to: they are the same, whatever the images.

        Returns:
            Whether the two are alike; if not, nothing happens.
        """
        mine, learned = self.reading(), other.reading()
        shapes = [{name: one.shape for name, one in each.items()} for each in (mine, learned)]
        if shapes[0] != shapes[1] or self.finder.config.claims != other.finder.config.claims:
            return False
        self.load_state_dict(learned, strict=False)
        return True

    def found(self, image: Image) -> Found:
        """What the finder answers of a batch of images, its log-odds as they are worth."""
        self.check(image)
        found: Found = self.finder(self.finder.tokens(self.kind, image))
        return replace(found, odds=(found.odds * self.scale + self.shift).clamp(-SURE, SURE))

    def features(self, image: Image) -> list[Grid]:
        """What the finder makes of a batch of images: (batch, channels, claims)."""
        return [self.said(self.found(image))]

    def said(self, found: Found) -> Grid:
        """The same of its answers, from `found`."""
        odds = found.odds[..., None]
        chance = odds.sigmoid()
        like = (found.size[..., None], found.severity.softmax(-1), found.region.softmax(-1))
        # What a finding is like counts as far as there is one.
        return torch.cat([odds / SURE, chance, *(chance * one for one in like)], dim=-1).mT

    def tokens(self, coarsest: Grid) -> Context:
        """The claims, each with which it is."""
        claims: Context = self.claim(coarsest.mT)
        return claims + self.which


def _likeness(config: FinderConfig) -> int:
    """Channels that say what a finding is like: size, severity, region."""
    return 1 + len(SEVERITIES) + len(config.regions)
