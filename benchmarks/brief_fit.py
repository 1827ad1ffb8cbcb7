"""How the small networks of the benchmarks learn: AdamW, its rate up and down once."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def fit_briefly(
    network: nn.Module,
    losses: Iterable[Tensor],
    *,
    steps: int,
    learning_rate: float,
    weight_decay: float = 0.01,
) -> None:
    """Train a network, and leave it in eval mode.

    Args:
        network: Its parameters learn.
        losses: One a step, each computed when it is asked for, with what was learned before.
        steps: How many there are.
        learning_rate: The highest.
        weight_decay: Of AdamW.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps)
    for loss in losses:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    network.eval()
