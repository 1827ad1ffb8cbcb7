"""A writer of reports: the report codec's decoder, looking at what was found and at the images.

What it writes may be wrong, as any language model's; whoever asks it reads the sentences back.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from medgen.config import check_least, check_parts
from medgen.latents.decoder import decoded, decoder_layers
from medgen.latents.report import END, START, Ids
from medgen.shapes import Context

LARGEST = 255  # of sizes that are told apart, in their unit
PRESENCES = 3  # absent, uncertain, present

Memory = Float[Tensor, "batch memory width"]
"""What the decoder attends to."""


@dataclass(frozen=True)
class WriterConfig:
    """The size of a writer.

    Attributes:
        vocabulary: Numbers that the tokenizer uses.
        max_tokens: Longest report, START and END among them.
        width: Of the transformer.
        layers: Of it.
        heads: Divides `width`.
        claims: Of the finder.
        regions: Of the finder.
        severities: That are told apart.
        seen: Width of the finder's tokens.
    """

    vocabulary: int = 2048
    max_tokens: int = 192
    width: int = 128
    layers: int = 2
    heads: int = 4
    claims: int = 1
    regions: int = 0
    severities: int = 3
    seen: int = 128

    def __post_init__(self) -> None:
        """Raises UsageError for a network that cannot be built."""
        check_parts("heads", self.heads, [self.width])
        check_least(self, 1, "vocabulary", "layers", "claims", "seen")
        check_least(self, 2, "max_tokens")  # START and END
        check_least(self, 0, "regions", "severities")


@dataclass(frozen=True)
class Told:
    """What a writer is told, of a batch of studies; a row for each claim.

    Attributes:
        presence: 0 absent, 1 uncertain, 2 present.
        severity: 0 where nobody tells; else its number, from 1.
        region: Likewise.
        size: Whole millimetres or millilitres; 0 where nobody measured.
        tokens: Of all images.
        mask: Which of these there are.
    """

    presence: Int[Tensor, "batch claims"]
    severity: Int[Tensor, "batch claims"]
    region: Int[Tensor, "batch claims"]
    size: Int[Tensor, "batch claims"]
    tokens: Context
    mask: Bool[Tensor, "batch tokens"]


class Writer(nn.Module):
    """Facts and image tokens in, the next token of a report out."""

    def __init__(self, config: WriterConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.piece = nn.Embedding(config.vocabulary, width)
        self.place = nn.Embedding(config.max_tokens, width)
        self.claim = nn.Embedding(config.claims, width)
        self.presence = nn.Embedding(PRESENCES, width)
        self.severity = nn.Embedding(1 + config.severities, width)
        self.region = nn.Embedding(1 + config.regions, width)
        self.size = nn.Embedding(1 + LARGEST, width)
        for table in self.children():
            if isinstance(table, nn.Embedding):
                nn.init.normal_(table.weight, std=0.02)  # of GPT-2
        self.seen = nn.Linear(config.seen, width)
        self.writers = decoder_layers(width, config.heads, config.layers)
        self.written = nn.LayerNorm(width)

    def memory(self, told: Told) -> tuple[Memory, Bool[Tensor, "batch memory"]]:
        """What the decoder attends to, and which of it there is: claims, then images."""
        rows = self.claim.weight + self.presence(told.presence) + self.severity(told.severity)
        rows = rows + self.region(told.region) + self.size(told.size.clamp(max=LARGEST))
        memory = torch.cat([rows, self.seen(told.tokens)], dim=1)
        return memory, torch.cat([torch.ones_like(rows[..., 0], dtype=torch.bool), told.mask], 1)

    def logits(
        self, memory: Memory, mask: Bool[Tensor, "batch memory"], ids: Ids
    ) -> Float[Tensor, "batch tokens vocabulary"]:
        """What comes after each token, given the memory and the tokens up to it."""
        places = torch.arange(ids.shape[1], device=ids.device)
        tokens = decoded(self.writers, self.piece(ids) + self.place(places), memory, mask)
        return self.written(tokens) @ self.piece.weight.T

    def forward(self, told: Told, ids: Ids) -> Float[Tensor, "batch tokens vocabulary"]:
        """What comes after each token of a report, in training."""
        return self.logits(*self.memory(told), ids)

    @torch.no_grad()
    def beam(
        self, told: Told, *, beams: int, longest: int, length: float
    ) -> list[Int[Tensor, "tokens"]]:
        """The likeliest reports of one study, best first; what is not finished comes last.

        Args:
            told: One item.
            beams: How many are followed, and given back.
            longest: Tokens at most.
            length: Exponent of the length that a log-likelihood is divided by; above 1 favours
                long reports.

        Source: the length penalty is Wu et al. 2016, equation 14 (arXiv:1609.08144), without its 5.
        """
        memory, mask = self.memory(told)
        ids = torch.full((1, 1), START, device=memory.device)
        score = torch.zeros(1, device=memory.device)
        done: list[tuple[float, Tensor]] = []
        for _ in range(min(longest, self.config.max_tokens) - 1):
            rows = len(ids)
            each = self.logits(memory.expand(rows, -1, -1), mask.expand(rows, -1), ids)[:, -1]
            total = (score[:, None] + each.log_softmax(-1)).flatten()
            best, place = total.topk(min(2 * beams, len(total)))
            from_row, token = place // each.shape[1], place % each.shape[1]
            grown = torch.cat([ids[from_row], token[:, None]], dim=1)
            ended = token == END
            done += [
                (float(one) / grown.shape[1] ** length, row)
                for one, row in zip(best[ended], grown[ended], strict=True)
            ]
            ids, score = grown[~ended][:beams], best[~ended][:beams]
            if len(done) >= beams or not len(ids):
                break
        done.sort(key=lambda one: -one[0])
        return [*(row for _, row in done), *ids][:beams]  # `topk` has ranked those that go on

    @torch.no_grad()
    def sample(
        self, told: Told, generator: Generator, *, nucleus: float, longest: int
    ) -> Int[Tensor, "tokens"]:
        """One report of one study, each token from the likeliest that hold `nucleus` of the chance.

        Source: Holtzman et al. 2020 (arXiv:1904.09751).
        """
        memory, mask = self.memory(told)
        ids = torch.full((1, 1), START, device=memory.device)
        for _ in range(min(longest, self.config.max_tokens) - 1):
            chances = self.logits(memory, mask, ids)[0, -1].softmax(-1).cpu()
            ranked, order = chances.sort(descending=True)
            kept = ranked * (ranked.cumsum(0) - ranked < nucleus)
            pick = order[torch.multinomial(kept, 1, generator=generator)].to(ids)
            ids = torch.cat([ids, pick[None]], dim=1)
            if int(pick) == END:
                break
        return ids[0]


def inherited(codec: dict[str, Tensor], writer: Writer) -> Iterator[str]:
    """Give a writer what a report codec's decoder has of its shape; yields what was taken."""
    own = writer.state_dict()
    for name, tensor in codec.items():
        if name in own and own[name].shape == tensor.shape:
            own[name] = tensor
            yield name
    writer.load_state_dict(own)
