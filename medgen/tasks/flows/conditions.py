"""What each item of a batch is told, as the conditions that a flow takes."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from medgen.data.standard import standard_view
from medgen.diffusion.conditioner import Condition
from medgen.encoders.encoded import Encoded
from medgen.encoders.text import TextEncoder
from medgen.encoders.tokenizer import Tokenizer
from medgen.errors import InputError
from medgen.io.image import MedicalImage
from medgen.modality import Contrast, Modality
from medgen.shapes import Context
from medgen.tasks.aligning.model import LoadedAligner
from medgen.tasks.flows.flow import SOURCES
from medgen.tasks.studies import IMAGES

SHARED, SCAN = "shared", "scan"
SCAN_WIDTH = 1 + len(Contrast)  # of the numbers that say how a volume is scanned


class Told(NamedTuple):
    """One thing that one item is told: what an encoder says of a text or an image, or its scan.

    Attributes:
        source: The encoder's modality, or `SCAN`.
        context: Its tokens; none of them where it is not to be heard, or was never trained to be.
        embedding: Where the thing lies in the space that all encoders share, as one token; none
            of a scan.
        weight: How much it counts.
    """

    source: str
    context: Float[Tensor, "tokens width"]
    embedding: Float[Tensor, "points embedding"]
    weight: float = 1.0

    @property
    def shared(self) -> "Told":
        """The same with nothing but its place in the shared space."""
        return self._replace(context=self.context[:0])

    def to(self, device: torch.device) -> "Told":
        """The same on a device, in single precision."""
        context, embedding = self.context.to(device).float(), self.embedding.to(device).float()
        return self._replace(context=context, embedding=embedding)


def told_of(encoded: Encoded, source: Modality, *, weight: float = 1.0) -> list[Told]:
    """What an encoder says of each item of a batch."""
    rows = zip(encoded.context, encoded.mask, encoded.embedding, strict=True)
    return [Told(source, context[mask], one[None], weight) for context, mask, one in rows]


@torch.no_grad()
def told_texts(encoder: TextEncoder, tokenizer: Tokenizer, texts: Sequence[str]) -> list[Told]:
    """What texts say; the empty text is the encoded empty condition."""
    longest = encoder.config.max_tokens
    device = encoder.place.weight.device
    encoded = encoder(tokenizer.encode(texts, max_tokens=longest).ids.to(device))
    return told_of(encoded, Modality.TEXT)


@torch.no_grad()
def told_image(
    image: MedicalImage, encoders: LoadedAligner, device: torch.device, *, weight: float = 1.0
) -> Told:
    """What an encoder says of an image.

    Raises:
        InputError: If nobody says what the image is.
        ModelError: If the model has no encoder of its modality.
    """
    if image.kind is None or image.kind.modality not in IMAGES:
        name = image.source.path if image.source else "image"
        raise InputError(f"{name}: does not say what it is; write --from KIND=FILE")
    source = image.kind.modality
    encoder = encoders.encoder_of(source)
    view = standard_view(image, source, encoders.standard)
    (one,) = told_of(encoder(view[None].float().to(device)), source, weight=weight)
    return one


def told_scan(spacing: float, contrast: Contrast | None = None) -> Told:
    """How a volume is scanned.

    Args:
        spacing: Of its voxels, mm.
        contrast: Of an MRI; None where nobody knows, and for CT.
    """
    weighted = [float(contrast is each) for each in Contrast]
    numbers = torch.tensor([[math.log2(spacing), *weighted]])
    return Told(SCAN, numbers, numbers[:0])


def conditions_of(told: Sequence[Sequence[Told]]) -> list[Condition]:
    """A batch's conditions: the first image of each modality in one, the second in another.

    Args:
        told: What each item is told: at least one thing, and any number in any order.
    """
    slots: dict[tuple[str, int], dict[int, tuple[Tensor, float]]] = defaultdict(dict)
    for item, things in enumerate(told):
        count: dict[str, int] = defaultdict(int)
        for one in things:
            spots = [(str(one.source), one.context)]
            if len(one.embedding):  # a scan has no place in the shared space
                spots.append((SHARED, one.embedding))
            for name, tokens in spots:
                slots[name, count[name]][item] = tokens, one.weight
                count[name] += 1
    conditions = (_condition(slot, name, len(told)) for (name, _), slot in slots.items())
    return [one for one in conditions if one.tokens.shape[1]]


def _condition(slot: dict[int, tuple[Tensor, float]], name: str, items: int) -> Condition:
    some, _ = next(iter(slot.values()))
    rows = [slot[item][0] if item in slot else some[:0] for item in range(items)]
    lengths = torch.tensor([len(row) for row in rows], device=some.device)
    tokens: Context = pad_sequence(rows, batch_first=True)
    mask = torch.arange(tokens.shape[1], device=some.device) < lengths[:, None]
    weights = torch.tensor([slot[item][1] if item in slot else 0.0 for item in range(items)])
    return Condition(tokens, mask, SOURCES.index(name), weights.to(some))
