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

from medgen.tasks.finder.model import Calibration, Worth

INVENTED = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)  # shares of the studies without any finding
PULL = 2.0  # studies' worth of belief that the log-odds are right as they are
STEPS = 60
LOWEST, HIGHEST = 0.02, 0.98  # of a threshold
ENOUGH = 50  # studies from which on a kind of images has a calibration of its own
ILL = 10  # studies with a finding from which on a kind of images has a median of its own
NORMAL = 40  # studies without any finding from which on it has thresholds of its own

Odds = Float[Tensor, "studies claims"]


def calibrated(
    odds: Odds, truth: Odds, shown: Sequence[str] = (), alike: Sequence[str] = ()
) -> Calibration:
    """Scale and shift of every claim, and the thresholds of all operating points.

    Args:
        odds: Answers to the claims, of studies held back.
        truth: 1, 0, or NaN where nobody knows.
        shown: What each answer rests on, see `shown_together`.
        alike: A word for each answer; kinds of images under one word have answers that are worth
            about the same. All kinds have, if it is not given.
    """
    everything = _worth(odds, truth, None)
    groups = list(alike) or [""] * len(shown)
    usual = {group: _of(groups, group, odds, truth, None) for group in set(groups)}
    apart = {
        word: _of(shown, word, odds, truth, usual[group])
        for word, group in sorted(dict(zip(shown, groups, strict=True)).items())
        if ENOUGH <= list(shown).count(word) < len(shown)
    }
    return Calibration(**vars(everything), apart=apart, invented=INVENTED)


def _of(words: Sequence[str], word: str, odds: Odds, truth: Odds, usual: Worth | None) -> Worth:
    """What the answers under one word are worth."""
    rows = torch.tensor([one == word for one in words])
    return _worth(odds[rows], truth[rows], usual)


def loudness(own: Odds, heard: Odds, truth: Odds) -> Float[Tensor, "claims"]:
    """How much louder than it is what spots say should be, beside the other odds of each claim.

    Those may know the studies of training by heart, and spots less so; hence this is no weight of
    the network's.

    Args:
        own: Log-odds without what spots say, of studies held back.
        heard: What spots say, 0 or more.
        truth: 1, 0, or NaN where nobody knows.
    """
    (scale, gain), _ = _likeliest([own, heard], truth)
    return torch.where(heard.any(0), gain / scale, torch.ones_like(gain))


def _likeliest(
    parts: Sequence[Odds], truth: Odds
) -> tuple[Float[Tensor, "parts claims"], Float[Tensor, "claims"]]:
    """How often each of the parts of log-odds counts, above 0, and what is added to their sum."""
    known, right = ~truth.isnan(), truth.nan_to_num(0.0)
    logs = torch.zeros(len(parts), truth.shape[1], requires_grad=True)
    shift = torch.zeros(truth.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([logs, shift], max_iter=STEPS)

    def loss() -> Tensor:
        optimizer.zero_grad()
        odds = (torch.stack(list(parts)) * logs.exp()[:, None]).sum(0) + shift
        wrong = F.binary_cross_entropy_with_logits(odds, right, reduction="none")
        total = (wrong * known).sum() + PULL * (logs.square().sum() + shift.square().sum())
        total.backward()
        return total

    optimizer.step(loss)
    return logs.detach().exp(), shift.detach()


def _worth(odds: Odds, truth: Odds, usual: Worth | None) -> Worth:
    """What some answers are worth; of `usual` they differ as far as they say so themselves."""
    if usual is not None:
        odds = odds * torch.tensor(usual.scale) + torch.tensor(usual.shift)
    (scale,), shift = _likeliest([odds], truth)
    chances = (odds * scale + shift).sigmoid()
    is_normal = (truth == 0).all(1)
    surest = chances[is_normal].amax(1) if is_normal.any() else chances.new_tensor([0.5])
    thresholds = tuple(
        round(float(surest.quantile(1 - share).clamp(LOWEST, HIGHEST)), 4) for share in INVENTED
    )
    if usual is not None:
        shift = scale * torch.tensor(usual.shift) + shift
        scale = scale * torch.tensor(usual.scale)
        if is_normal.sum() < NORMAL:
            thresholds = usual.threshold
    return Worth(_rounded(scale), _rounded(shift), thresholds, _medians(chances, truth, usual))


def _medians(chances: Odds, truth: Odds, usual: Worth | None) -> tuple[float, ...]:
    """What half of the studies with a finding are given; of very few, what is usual."""
    found = []
    for at, there in enumerate((truth == 1).T):
        if usual is not None and there.sum() < ILL:
            found.append(usual.median[at])
        else:
            found.append(round(float(chances[there, at].median()), 4) if there.any() else 0.0)
    return tuple(found)


def _rounded(numbers: Tensor) -> tuple[float, ...]:
    return tuple(round(one, 4) for one in numbers.detach().tolist())
