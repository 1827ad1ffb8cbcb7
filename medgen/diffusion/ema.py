"""The moving average of a network's weights, which samples better than the last ones."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def averaged(network: nn.Module, decay: float = 0.999) -> AveragedModel:
    """A copy of the network that follows it: `average.update_parameters(network)` every step.

    Args:
        network: The network in training.
        decay: Share that the average keeps each step; the first update copies the network.

    Source: Ho et al. 2020, section 4 (arXiv:2006.11239), has 0.9999 for 800 000 steps.
    """
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))
