"""The average of constant weights is the constant, and it moves by its decay."""

import torch
from torch import nn

from medgen.diffusion.ema import averaged


def set_to(network, value):
    with torch.no_grad():
        network.weight.fill_(value)


def test_the_average_follows_by_its_decay():
    network = nn.Linear(1, 1, bias=False)
    average = averaged(network, decay=0.75)
    for value in (1.0, 2.0, 4.0):  # the first is copied; then 1.25, then 1.9375
        set_to(network, value)
        average.update_parameters(network)
    assert average.module.weight.item() == 1.9375
    assert network.weight.item() == 4
