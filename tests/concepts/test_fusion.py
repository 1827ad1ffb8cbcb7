"""Without concepts a network is itself; with one everywhere it is that concept's network."""

from types import SimpleNamespace

import pytest
import torch

from medgen.concepts.fusion import Fusion
from tests.concepts.toy import alone, learned

TIME = torch.tensor([0.6])


@pytest.mark.parametrize("suppression", [0.0, 0.3])
def test_without_concepts_the_network_is_itself(tiny: SimpleNamespace, suppression: float) -> None:
    concept = learned(tiny.network, tiny.context, 1)
    nowhere = torch.zeros(1, 1, *tiny.latent.shape[2:])
    plain = tiny.network(tiny.latent, TIME, tiny.context)
    fusion = Fusion([concept], [concept.context], nowhere, suppression=suppression)
    with fusion.attached(tiny.network):
        fused = tiny.network(tiny.latent, TIME, tiny.context)
    torch.testing.assert_close(fused, plain)
    torch.testing.assert_close(tiny.network(tiny.latent, TIME, tiny.context), plain)


def test_one_concept_everywhere_is_its_own_network(tiny: SimpleNamespace) -> None:
    concept = learned(tiny.network, tiny.context, 1)
    everywhere = torch.ones(1, 1, *tiny.latent.shape[2:])
    with Fusion([concept], [concept.context], everywhere).attached(tiny.network):
        fused = tiny.network(tiny.latent, TIME, tiny.other)
    wanted = alone(tiny.network, concept)(tiny.latent, TIME, concept.context)
    torch.testing.assert_close(fused, wanted)
    assert (wanted - tiny.network(tiny.latent, TIME, tiny.other)).abs().mean() > 1e-3


def test_halves_of_one_concept_are_that_concept(tiny: SimpleNamespace) -> None:
    one = learned(tiny.network, tiny.context, 1)
    half = torch.full((1, 2, *tiny.latent.shape[2:]), 0.5)
    with Fusion([one, one], [one.context] * 2, half).attached(tiny.network):
        fused = tiny.network(tiny.latent, TIME, tiny.other)
    wanted = alone(tiny.network, one)(tiny.latent, TIME, one.context)
    torch.testing.assert_close(fused, wanted)


def test_suppression_goes_as_far_beyond_in_features(tiny: SimpleNamespace) -> None:
    concept = learned(tiny.network, tiny.context, 1)
    (name, layer) = next(
        (name, module)
        for name, module in tiny.network.named_modules()
        if name.endswith("down_blocks.1.attentions.0.transformer_blocks.0.attn2")
    )
    grid = tiny.latent.shape[2:]
    queries = torch.randn(1, tiny.cells, 8)
    base, own = (
        layer(queries, context=tiny.other),
        concept.answer(name, layer, queries, tiny.context),
    )
    everywhere = torch.ones(1, 1, *grid)
    with Fusion([concept], [tiny.context], everywhere, suppression=0.25).attached(tiny.network):
        fused = layer(queries, context=tiny.other)
    torch.testing.assert_close(fused, 1.25 * own - 0.25 * base)


def test_each_item_of_a_batch_has_its_own_regions(tiny: SimpleNamespace) -> None:
    concept = learned(tiny.network, tiny.context, 1)
    grid = tiny.latent.shape[2:]
    where = torch.stack([torch.zeros(1, *grid), torch.ones(1, *grid)])
    with Fusion([concept], [concept.context], where).attached(tiny.network):
        plain, fused = tiny.network(
            tiny.latent.expand(2, *[-1] * (tiny.latent.ndim - 1)),
            TIME,
            tiny.other.expand(2, -1, -1),
        ).split(1)
    torch.testing.assert_close(plain, tiny.network(tiny.latent, TIME, tiny.other))
    torch.testing.assert_close(
        fused, alone(tiny.network, concept)(tiny.latent, TIME, concept.context)
    )
