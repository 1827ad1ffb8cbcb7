"""Names for the shapes that travel between modules; checked whenever the tests run."""

from jaxtyping import Float
from torch import Tensor

Image = Float[Tensor, "batch channels *space"]
"""Normalised images in [-1, 1]; `space` is (i, j, k) for a volume, (row, column) for X-ray."""

Latent = Float[Tensor, "batch latent *grid"]
"""What the diffusion engine denoises; `grid` is `space` divided by the codec's stride."""

Context = Float[Tensor, "batch tokens width"]
"""A sequence of condition vectors that the denoiser attends to."""

Embedding = Float[Tensor, "batch embedding"]
"""One vector per item in the space that all modalities share; unit length."""

Time = Float[Tensor, "#batch"]
"""How far from clean (0) to noise (1); one for the batch, or one per item."""
