"""Concepts that differ from what they started as, and the network that one alone would be."""

import copy

import torch
from torch import nn

from medgen.concepts.concept import Concept, concept_for, layers_of
from medgen.diffusion.schedule import uniform_stops

STOPS = uniform_stops(5)


def learned(network: nn.Module, said: torch.Tensor, seed: int) -> Concept:
    """A concept with random weights, as if it had learned something."""
    concept = concept_for(network, said).requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for parameter in concept.parameters():
        parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))
    return concept


def alone(network: nn.Module, concept: Concept) -> nn.Module:
    """The network with the concept's keys and values in the place of its own."""
    copied = copy.deepcopy(network)
    changes = zip(layers_of(copied), concept.keys.values(), concept.values.values(), strict=True)
    for (_, layer), keys, values in changes:
        layer.to_k.weight.add_(keys)
        layer.to_v.weight.add_(values)
    return copied
