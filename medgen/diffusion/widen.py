"""A wider network that answers as a narrower one: what was learned is kept, and there is room.

New channels hear all the others, and nobody hears them yet, so that the answer is the same until
training goes on. The idea is Net2Net's (Chen et al. 2016, arXiv:1511.05641), whose new channels are
copies that noise tells apart.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from medgen.diffusion.modulated_unet import ModulatedUNet


def can_widen(before: Sequence[int], after: Sequence[int]) -> bool:
    """Whether a network can gain channels: no level, and nothing handed up, becomes narrower."""
    return len(before) == len(after) and all(
        narrow <= wide
        for old, new in ((before, after), (_handed_up(before), _handed_up(after)))
        for narrow, wide in zip(old, new, strict=True)
    )


def _handed_up(widths: Sequence[int]) -> list[int]:
    """How many channels each level but the last gets from the one below."""
    return [below if above == below else below // 2 for above, below in pairwise(widths)]


@torch.no_grad()
def widened(network: ModulatedUNet, widths: Sequence[int], *, inputs: int) -> ModulatedUNet:
    """The same network with more channels.

    Args:
        network: Left as it is.
        widths: Channels of each level, finest first.
        inputs: Channels of its input; those that it had come first.

    Raises:
        ValueError: If it would hear less, or `can_widen` says no.
    """
    config = network.config
    if not can_widen(config.widths, widths):
        raise ValueError(f"a network of widths {config.widths} cannot become {tuple(widths)}")
    if inputs < config.in_channels:
        raise ValueError(f"a network of {config.in_channels} inputs cannot hear {inputs} only")
    wide = ModulatedUNet(replace(config, in_channels=inputs, widths=tuple(widths)))
    before, after = config.widths, wide.config.widths
    places = {"detail.0.weight": _beside(before[0], after[0], config.in_channels)}
    for step, handed_up in enumerate(reversed(_handed_up(before))):
        level = len(before) - 2 - step
        skips_first = _beside(before[level], after[level], handed_up)
        places[f"up.{step}.convs.conv_0.conv.weight"] = skips_first
    state = wide.state_dict()
    for name, learned in network.state_dict().items():
        _keep(state[name], learned, name, places.get(name))
    wide.load_state_dict(state)
    return wide.train(network.training)


def _beside(before: int, after: int, others: int) -> list[int]:
    """Where channels and those after them lie when the channels have become more."""
    return [*range(before), *range(after, after + others)]


def _keep(weight: Tensor, learned: Tensor, name: str, inputs: list[int] | None) -> None:
    """Outputs that were there hear what they heard, in its new place, and nothing else."""
    if name.endswith("deconv.weight"):  # transposed convolutions store their inputs first
        weight, learned = weight.transpose(0, 1), learned.transpose(0, 1)
    outputs = list(range(len(learned)))
    if name.startswith("modulation"):  # scales, then shifts
        half = len(learned) // 2
        outputs = _beside(half, len(weight) // 2, half)
    rows = torch.tensor(outputs)
    if learned.ndim == 1:
        weight[rows] = learned
        return
    weight[rows] = 0
    weight[rows[:, None], torch.tensor(inputs or range(learned.shape[1]))] = learned
