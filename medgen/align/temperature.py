"""How sharply embeddings are told apart: a number that is learned, within bounds."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

LARGEST = math.log(100)  # of the log-scale; beyond it training falls apart (CLIP, section 2.5)
FIRST = math.log(1 / 0.07)


class Temperature(nn.Module):
    """The scale of similarities, 1 / temperature, between 1 and 100.

    The parameter is its logarithm. One that steps over a bound counts as the bound, and can only
    come back.

    Source: Radford et al. 2021, section 2.5 (arXiv:2103.00020).
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(FIRST))

    def forward(self) -> Float[Tensor, ""]:
        """The scale that similarities are multiplied by."""
        scale: Tensor = _Bounded.apply(self.log_scale)
        return scale.exp()


class _Bounded(torch.autograd.Function):
    """Clamp, whose gradient vanishes only where it leads further out.

    The gradient of a plain clamp vanishes wherever the clamp acts: what has once stepped out could
    never come back.
    """

    @staticmethod
    def forward(ctx: Any, log_scale: Float[Tensor, ""]) -> Float[Tensor, ""]:
        ctx.save_for_backward(log_scale)
        return log_scale.clamp(0, LARGEST)

    @staticmethod
    def backward(ctx: Any, gradient: Float[Tensor, ""]) -> Float[Tensor, ""]:
        (log_scale,) = ctx.saved_tensors
        leads_out = ((log_scale >= LARGEST) & (gradient < 0)) | ((log_scale <= 0) & (gradient > 0))
        return gradient * ~leads_out
