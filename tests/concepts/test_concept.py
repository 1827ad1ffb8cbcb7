"""A concept is keys, values and a token; a new one changes nothing."""

from types import SimpleNamespace

import pytest
import torch

from medgen.concepts.concept import concept_for, layers_of
from medgen.diffusion.sequence import SequenceConfig, SequenceDenoiser
from tests.concepts.toy import learned


def test_a_new_concept_answers_as_the_layer_does(tiny: SimpleNamespace) -> None:
    concept = concept_for(tiny.network, tiny.context)
    for name, layer in layers_of(tiny.network):
        queries = torch.randn(2, 5, 8)
        heard = tiny.other.expand(2, -1, -1)
        torch.testing.assert_close(
            concept.answer(name, layer, queries, tiny.other), layer(queries, context=heard)
        )


def test_only_keys_values_and_one_token_learn(tiny: SimpleNamespace) -> None:
    concept = concept_for(tiny.network, tiny.context)
    names = {name.partition(".")[0] for name, _ in concept.named_parameters()}
    assert names == {"token", "keys", "values"}
    assert concept.token.shape == (1, 1, tiny.context.shape[2])
    layers = len(list(layers_of(tiny.network)))
    assert len(concept.keys) == len(concept.values) == layers == 4


def test_the_token_is_heard_beside_what_is_said(tiny: SimpleNamespace) -> None:
    concept = learned(tiny.network, tiny.context, 1)
    torch.testing.assert_close(concept.context[:, :-1], tiny.context)
    torch.testing.assert_close(concept.context[:, -1:], concept.token)


def test_flows_of_reports_have_no_concepts() -> None:
    denoiser = SequenceDenoiser(SequenceConfig(channels=4, length=4, width=8, layers=1, heads=2))
    with pytest.raises(ValueError, match="U-Nets with cross-attention"):
        concept_for(denoiser, torch.zeros(1, 2, 8))
