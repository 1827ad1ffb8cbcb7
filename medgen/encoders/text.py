"""Reports and prompts: a small transformer over their tokens."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor, nn

from medgen.config import check_least, check_parts
from medgen.encoders.encoded import Encoded
from medgen.encoders.reader import Reader
from medgen.encoders.tokenizer import END, PAD, START


@dataclass(frozen=True)
class TextEncoderConfig:
    """The size of a text encoder.

    Attributes:
        vocabulary: Numbers that the tokenizer uses.
        max_tokens: Longest text, START and END among them.
        width: Of the context.
        layers: Of the transformer.
        heads: Divides `width`.
        embedding: Length of the embedding; the same for all encoders that are aligned.
    """

    vocabulary: int = 4096
    max_tokens: int = 256
    width: int = 128
    layers: int = 4
    heads: int = 4
    embedding: int = 256

    def __post_init__(self) -> None:
        """Raises UsageError for a network that cannot be built."""
        check_parts("heads", self.heads, [self.width])
        check_least(self, 1, "vocabulary", "embedding")
        check_least(self, 2, "max_tokens")  # START and END
        check_least(self, 0, "layers")


class TextEncoder(nn.Module):
    """`encoder(ids) -> Encoded`."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.piece = nn.Embedding(config.vocabulary, config.width)
        self.place = nn.Embedding(config.max_tokens, config.width)
        for table in (self.piece, self.place):
            nn.init.normal_(table.weight, std=0.02)  # of GPT-2
        self.reader = Reader(
            config.width, layers=config.layers, heads=config.heads, embedding=config.embedding
        )

    def forward(self, ids: Int[Tensor, "batch tokens"]) -> Encoded:
        """Encode a batch of texts.

        Args:
            ids: Of the tokenizer, padded with PAD at the end.

        Raises:
            ValueError: If they are more than `max_tokens`.
        """
        if ids.shape[1] > self.config.max_tokens:
            raise ValueError(f"{ids.shape[1]} tokens; this encoder takes {self.config.max_tokens}")
        places = torch.arange(ids.shape[1], device=ids.device)
        return self.reader(self.piece(ids) + self.place(places), ids != PAD)

    def empty(self) -> Encoded:
        """What the empty text says: one item, to stand for a prompt that is not given."""
        return self(torch.tensor([[START, END]], device=self.place.weight.device))
