"""Reports to latents and back: a small Optimus.

A transformer reads a report, and each cell of a short sequence of Gaussian latents keeps what it
thinks over one window of words; another writes the report again, word for word, looking at nothing
but these. Source: Li et al. 2020 (arXiv:2004.04092), whose one cell spans the whole report: what
`length=1` gives. Cells that each answer for a few words of their own are learned in a tenth of the
steps.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from medgen.config import check_least, check_parts
from medgen.errors import UsageError
from medgen.latents.decoder import decoded, decoder_layers
from medgen.latents.posterior import LOG_VARIANCE, Posterior
from medgen.shapes import Latent

PAD, START, END = 0, 1, 2  # as the tokenizer has them
Ids = Int[Tensor, "batch tokens"]


@dataclass(frozen=True)
class ReportCodecConfig:
    """The size of a report codec.

    Attributes:
        vocabulary: Numbers that the tokenizer uses.
        max_tokens: Longest report, START and END among them; divides by `length`.
        width: Of both transformers.
        layers: Of each.
        heads: Divides `width`.
        channels: Of the latent.
        length: Cells of the latent's one axis.
    """

    vocabulary: int = 2048
    max_tokens: int = 192
    width: int = 128
    layers: int = 2
    heads: int = 4
    channels: int = 32
    length: int = 24

    def __post_init__(self) -> None:
        """Raises UsageError for windows that differ, or a network that cannot be built."""
        check_parts("heads", self.heads, [self.width])
        check_least(self, 1, "vocabulary", "layers", "channels")
        check_least(self, 2, "max_tokens")  # START and END
        if self.length < 1 or self.max_tokens % self.length:
            raise UsageError(f"{self.max_tokens} tokens do not divide into {self.length} cells")

    @property
    def window(self) -> int:
        """Tokens that each cell answers for."""
        return self.max_tokens // self.length


class ReportCodec(nn.Module):
    """Token numbers to latents (batch, channels, length), and back."""

    def __init__(self, config: ReportCodecConfig) -> None:
        super().__init__()
        self.config = config
        width, heads = config.width, config.heads
        self.piece = nn.Embedding(config.vocabulary, width)
        self.place = nn.Embedding(config.max_tokens, width)
        for table in (self.piece, self.place):
            nn.init.normal_(table.weight, std=0.02)  # of GPT-2
        self.readers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(config.layers)
        )
        self.read = nn.LayerNorm(width)
        self.said = nn.Linear(width, 2 * config.channels)
        self.heard = nn.Linear(config.channels, width)
        self.cell = nn.Parameter(torch.randn(config.length, width) * 0.02)
        self.writers = decoder_layers(width, heads, config.layers)
        self.written = nn.LayerNorm(width)
        self.shift: Tensor
        self.scale: Tensor
        self.register_buffer("shift", torch.zeros(1, config.channels, config.length))
        self.register_buffer("scale", torch.ones(1, config.channels, config.length))

    def posterior(self, ids: Ids) -> Posterior:
        """Mean and log-variance of the raw latent of reports.

        Args:
            ids: START, the report, END, then PAD.

        Raises:
            ValueError: If they are more than `max_tokens`.
        """
        tokens, mask = self._embedded(ids), ids != PAD
        for layer in self.readers:
            tokens = layer(tokens, src_key_padding_mask=~mask)
        windows = self._windows(self.read(tokens) * mask[..., None])
        count = self._windows(mask[..., None].float()).sum(2).clamp(min=1)
        mean, spread = self.said(windows.sum(2) / count).mT.chunk(2, dim=1)
        return Posterior(mean, spread.clamp(*LOG_VARIANCE))

    def logits(self, raw: Latent, ids: Ids) -> Float[Tensor, "batch tokens vocabulary"]:
        """What comes after each token, given the raw latent and the tokens up to it."""
        memory = self.heard(raw.mT) + self.cell
        size = ids.shape[1]
        # What comes after token t is of the window of t + 1.
        following = torch.arange(1, size + 1, device=ids.device) // self.config.window
        tokens = self._embedded(ids) + memory[:, following.clamp(max=self.config.length - 1)]
        tokens = decoded(self.writers, tokens, memory)
        return self.written(tokens) @ self.piece.weight.T

    def encode(self, ids: Ids) -> Latent:
        """The posterior's mean; over the training reports, each channel's deviation is 1."""
        return (self.posterior(ids).mean - self.shift) / self.scale

    @torch.no_grad()
    def decode(self, latent: Latent, *, max_tokens: int | None = None) -> Ids:
        """The likeliest token each time, up to END; PAD after it.

        Args:
            latent: As `encode` gives it.
            max_tokens: At most so many, START and END among them.
        """
        raw = latent * self.scale + self.shift
        ids = torch.full((len(raw), 1), START, device=raw.device)
        is_done = torch.zeros(len(raw), dtype=torch.bool, device=raw.device)
        for _ in range((max_tokens or self.config.max_tokens) - 1):
            likeliest = self.logits(raw, ids)[:, -1].argmax(1)
            following = torch.where(is_done, PAD, likeliest)
            ids = torch.cat([ids, following[:, None]], dim=1)
            is_done = is_done | (following == END)
            if is_done.all():
                break
        return ids

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Ids]) -> None:
        """Measure shift and scale over training reports.

        Every number has its own shift; the numbers of a channel have one scale. A cell that few
        reports are long enough to reach hardly varies among all of them: by a scale of its own,
        those few would lie far out.

        Raises:
            ValueError: If there is no report.
        """
        means = [self.posterior(ids).mean for ids in batches]
        if not means:
            raise ValueError("no report to calibrate the codec with")
        values = torch.cat(means)
        self.shift.copy_(values.mean(0, keepdim=True))
        variance = values.var(0, unbiased=False).mean(1)
        self.scale.copy_(variance.sqrt().clamp(min=1e-3)[None, :, None].expand_as(self.scale))

    def _windows(
        self, tokens: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch length window width"]:
        """The tokens of each cell; zeros stand for those that are not there."""
        missing = self.config.max_tokens - tokens.shape[1]
        return F.pad(tokens, (0, 0, 0, missing)).unflatten(1, (-1, self.config.window))

    def _embedded(self, ids: Ids) -> Float[Tensor, "batch tokens width"]:
        if ids.shape[1] > self.config.max_tokens:
            raise ValueError(f"{ids.shape[1]} tokens; this codec takes {self.config.max_tokens}")
        places = torch.arange(ids.shape[1], device=ids.device)
        embedded: Tensor = self.piece(ids) + self.place(places)
        return embedded


def dropped(ids: Ids, share: float, chance: Float[Tensor, "batch tokens"]) -> Ids:
    """The decoder's input with some tokens blotted out, so that it has to look at the latent.

    Args:
        ids: START first.
        share: Of the tokens, 0 to 1.
        chance: A uniform number for each token.

    Source: word dropout of Bowman et al. 2016, section 3.1 (arXiv:1511.06349).
    """
    blotted: Bool[Tensor, "batch tokens"] = (chance < share) & (ids != START) & (ids != PAD)
    return torch.where(blotted, PAD, ids)
