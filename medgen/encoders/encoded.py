"""What every encoder says of its input."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Encoded:
    """A batch of texts or images, encoded.

    Attributes:
        context: What a denoiser attends to.
        mask: True where there is a token, False where a text was padded.
        embedding: One vector per item in the space that all modalities share; unit length.
    """

    context: Float[Tensor, "batch tokens width"]
    mask: Bool[Tensor, "batch tokens"]
    embedding: Float[Tensor, "batch embedding"]
