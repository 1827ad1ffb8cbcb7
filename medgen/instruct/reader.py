"""What a flow takes from references: one more attention at the bottleneck, silent at first."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from medgen.config import check_parts
from medgen.crossguide.environment import OCTAVES, whereabouts
from medgen.diffusion.denoiser import Denoise
from medgen.diffusion.guidance import Guidance, guided
from medgen.diffusion.heads import attended
from medgen.diffusion.unet import UNet
from medgen.instruct.instruction import Role
from medgen.shapes import Context, Latent, Time

ROLES = tuple(Role)  # a reference's role is its place here
NEARNESS = (-1.0, 4.0)  # logarithms of how fast heads lose interest with distance, at first


@dataclass(frozen=True)
class ReaderConfig:
    """The size of a reader.

    Attributes:
        axes: Of the flow's grid.
        features: Channels of the flow's bottleneck.
        width: Of what it makes of the references, and of its attention.
        layers: How often the bottleneck looks at the references.
        heads: Divides `width`.
        findings: Names of the findings of label maps, whose labels are 1, 2, …
        raw: Channels of an item's references, stacked without an encoder, as baselines get them;
            0 for the features of single references.
    """

    axes: int = 2
    features: int = 128
    width: int = 128
    layers: int = 2
    heads: int = 4
    findings: tuple[str, ...] = ()
    raw: int = 0

    def __post_init__(self) -> None:
        """Raises UsageError for heads that do not divide the width."""
        check_parts("heads", self.heads, [self.width])


@dataclass(frozen=True)
class Read:
    """The references of a batch, read once and kept for all steps of a sampler.

    Attributes:
        tokens: Of all references of an item, in any order.
        heard: Added to the logits of the attention; -inf where there is no token.
        is_told: Whether an item has references.
    """

    tokens: Context
    heard: Float[Tensor, "batch tokens"]
    is_told: Bool[Tensor, "batch"]


class Reader(nn.Module):
    """Reads references from the features that the flow's own down-sampling half sees in them.

    It adds to what leaves the bottleneck. The projection behind it is zero: untrained, it adds
    nothing, exactly; and nothing, ever, to an item without references.

    Source: Hu et al. 2024, section 3.2 (arXiv:2401.01952); zero is Zhang et al. 2023, section 3.1
    (arXiv:2302.05543).
    """

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        self.config = config
        width, features = config.width, config.features
        norm = nn.Identity() if config.raw else nn.LayerNorm(features)
        self.offer = nn.Sequential(norm, nn.Linear(config.raw or features, width))
        self.role = nn.Embedding(1 if config.raw else len(ROLES), 2 * width)
        self.understand = nn.Sequential(nn.GELU(), nn.Linear(width, width))
        self.place = nn.Linear(2 * OCTAVES * config.axes, width)
        self.ask = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, width))
        self.layers = nn.ModuleList(_Glance(width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.answer = nn.Linear(width, features)
        nn.init.zeros_(self.answer.weight)
        nn.init.zeros_(self.answer.bias)

    def read(self, features: Latent, roles: Int[Tensor, "batch"]) -> Context:
        """The tokens of single references; of raw ones, of all references of an item.

        Args:
            features: What the flow's down-sampling half sees in each; or raw channels.
            roles: Places in `ROLES`; of raw ones 0, as their channels say their roles.
        """
        scale, shift = self.role(roles)[:, None].chunk(2, dim=-1)
        seen = self.offer(features.flatten(2).mT) + self._places(features)
        tokens: Context = self.understand(seen * (1 + scale) + shift)
        return tokens

    def forward(self, features: Latent, read: Read) -> Latent:
        """The features of a bottleneck after a look at the references."""
        asking = self.ask(features.flatten(2).mT) + self._places(features)
        distance = _distances(features.shape[2:]).to(features)
        repeats = -(-read.tokens.shape[1] // len(distance))
        distance = distance.repeat(1, repeats)[:, : read.tokens.shape[1]]
        for layer in self.layers:
            asking = layer(asking, read, distance)
        more = self.answer(self.norm(asking)).mT.unflatten(2, features.shape[2:])
        is_told = read.is_told.view(-1, *[1] * (features.ndim - 1))
        return torch.where(is_told, features + more, features)

    @contextmanager
    def attached(self, network: UNet, read: Read) -> Iterator[None]:
        """The network sees the references, as long as this lasts."""
        handle = network.bottleneck.register_forward_hook(
            lambda module, given, answer: self(answer, read)
        )
        try:
            yield
        finally:
            handle.remove()

    def _places(self, features: Latent) -> Float[Tensor, "cells width"]:
        places: Tensor = self.place(whereabouts(features.shape[2:]).to(features))
        return places


class _Glance(nn.Module):
    """Attention over references, nearest first, and a perceptron; both added.

    A reference lies on the grid of what is made. Each head begins with its own reach, from a cell
    and its neighbours to all of the grid; without, which cell is which is learned very late.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.ask, self.answer = nn.Linear(width, width), nn.Linear(width, width)
        self.offer = nn.Linear(width, 2 * width)
        self.nearness = nn.Parameter(torch.linspace(*NEARNESS, heads))
        self.think = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(
        self, asking: Context, read: Read, distance: Float[Tensor, "cells said"]
    ) -> Context:
        """Look once; `distance` is squared, where the grid spans [-1, 1]."""
        asked, offered = self.ask(self.norms[0](asking)), self.offer(self.norms[1](read.tokens))
        near = self.nearness.exp()[:, None, None] * distance
        seen = attended(asked, offered, self.heads, read.heard[:, None, None] - near)
        asking = asking + self.answer(seen)
        return asking + self.think(self.norms[2](asking))


def _distances(grid: torch.Size) -> Float[Tensor, "cells cells"]:
    """Squared distances between the cells of a grid that spans [-1, 1]."""
    axes = [(2 * torch.arange(size) + 1) / size - 1 for size in grid]
    cells = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2)
    squares: Tensor = (cells[:, None] - cells).square().sum(-1)
    return squares


def gathered(references: Sequence[Sequence[Context]], like: Tensor) -> Read:
    """What a batch reads, of the tokens of each item's references.

    Args:
        references: Of each item, (1, tokens, width) of each of its references.
        like: Says width, device and type where nobody has references.
    """
    nothing = like.new_zeros(1, like.shape[-1])  # so that attention has something to look at
    rows = [torch.cat([one[0] for one in of]) if of else nothing for of in references]
    lengths = torch.tensor([len(row) for row in rows], device=like.device)
    tokens: Context = pad_sequence(rows, batch_first=True)
    there = torch.arange(tokens.shape[1], device=like.device) < lengths[:, None]
    heard = torch.where(there, 0.0, -torch.inf).to(like)
    told = torch.tensor([bool(of) for of in references], device=like.device)
    return Read(tokens, heard, told)


def instructed(
    denoise: Denoise, network: UNet, reader: Reader, read: Read, scale: float = 1.0
) -> Denoise:
    """A denoiser that sees references; pushed towards them, away from the one without.

    Args:
        denoise: Text and its guidance are inside.
        network: Inside of it.
        reader: Of the references.
        read: The references.
        scale: 0 is the denoiser itself, 1 plain, above 1 exaggerates; any but 0 and 1 takes twice
            the time.
    """

    def seeing(noisy: Latent, time: Time) -> Latent:
        with reader.attached(network, read):
            return denoise(noisy, time)

    return guided(seeing, denoise, Guidance(scale))
