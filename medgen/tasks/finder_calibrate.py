"""Calibrate a finder on studies that it has not learned from: what its log-odds are worth.

Source: scaling log-odds by held-out likelihood is Platt 1999, here with a pull towards no change.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from medgen.tasks.finder_model import Calibration

INVENTED = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)  # shares of the studies without any finding
PULL = 2.0  # studies' worth of belief that the log-odds are right as they are
STEPS = 60
LOWEST, HIGHEST = 0.02, 0.98  # of a threshold


def calibrated(
    odds: Float[Tensor, "studies claims"], truth: Float[Tensor, "studies claims"]
) -> Calibration:
    """Scale and shift of every claim, and the thresholds of all operating points.

    Args:
        odds: Answers to the claims, of studies held back.
        truth: 1, 0, or NaN where nobody knows.
    """
    known = ~truth.isnan()
    right = truth.nan_to_num(0.0)
    log_scale = torch.zeros(odds.shape[1], requires_grad=True)
    shift = torch.zeros(odds.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([log_scale, shift], max_iter=STEPS)

    def loss() -> Tensor:
        optimizer.zero_grad()
        wrong = F.binary_cross_entropy_with_logits(
            odds * log_scale.exp() + shift, right, reduction="none"
        )
        pulled = PULL * (log_scale.square() + shift.square()).sum()
        total = (wrong * known).sum() + pulled
        total.backward()
        return total

    optimizer.step(loss)
    with torch.no_grad():
        scale = log_scale.exp()
        chances = (odds * scale + shift).sigmoid()
        is_normal = known.all(1) & (right == 0).all(1)
        surest = chances[is_normal].amax(1) if is_normal.any() else chances.new_tensor([0.5])
        thresholds = [
            float(surest.quantile(1 - share).clamp(LOWEST, HIGHEST)) for share in INVENTED
        ]
    return Calibration(
        tuple(round(one, 4) for one in scale.tolist()),
        tuple(round(one, 4) for one in shift.detach().tolist()),
        INVENTED,
        tuple(round(one, 4) for one in thresholds),
    )
