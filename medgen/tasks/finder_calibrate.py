"""Calibrate a finder on studies that it has not learned from: what its log-odds are worth.

They are worth more with a CT than with a radiograph alone, so that each kind of images that may be
shown, and every few of them together, have numbers of their own, where enough studies have them.

Source: scaling log-odds by held-out likelihood is Platt 1999, here with a pull towards no change.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from medgen.tasks.finder_model import Calibration, Worth

INVENTED = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)  # shares of the studies without any finding
PULL = 2.0  # studies' worth of belief that the log-odds are right as they are
STEPS = 60
LOWEST, HIGHEST = 0.02, 0.98  # of a threshold
ENOUGH = 50  # studies from which on a kind of images has a calibration of its own
NORMAL = 40  # studies without any finding from which on it has thresholds of its own

Odds = Float[Tensor, "studies claims"]


def calibrated(odds: Odds, truth: Odds, shown: Sequence[str] = ()) -> Calibration:
    """Scale and shift of every claim, and the thresholds of all operating points.

    Args:
        odds: Answers to the claims, of studies held back.
        truth: 1, 0, or NaN where nobody knows.
        shown: What each answer rests on, see `shown_together`.
    """
    everything = _worth(odds, truth, None)
    apart = {}
    for word in sorted(set(shown)):
        rows = torch.tensor([one == word for one in shown])
        if ENOUGH <= rows.sum() < len(shown):
            apart[word] = _worth(odds[rows], truth[rows], everything)
    return Calibration(
        everything.scale, everything.shift, everything.threshold, apart, invented=INVENTED
    )


def _worth(odds: Odds, truth: Odds, usual: Worth | None) -> Worth:
    """What some answers are worth; of `usual` they differ as far as they say so themselves."""
    if usual is not None:
        odds = odds * torch.tensor(usual.scale) + torch.tensor(usual.shift)
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
        thresholds = tuple(
            round(float(surest.quantile(1 - share).clamp(LOWEST, HIGHEST)), 4) for share in INVENTED
        )
        if usual is not None:
            shift = scale * torch.tensor(usual.shift) + shift
            scale = scale * torch.tensor(usual.scale)
    if usual is not None and is_normal.sum() < NORMAL:
        thresholds = usual.threshold
    return Worth(_rounded(scale), _rounded(shift), thresholds)


def _rounded(numbers: Tensor) -> tuple[float, ...]:
    return tuple(round(one, 4) for one in numbers.detach().tolist())
