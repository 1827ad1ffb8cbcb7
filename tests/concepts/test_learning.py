"""A concept learns what its masks show, and nothing else moves."""

from dataclasses import replace
from types import SimpleNamespace

import torch

from medgen.concepts.concept import concept_for
from medgen.concepts.learning import Batch, Lesson, lesson_loss


def batch(tiny: SimpleNamespace, value: float, *, items: int = 4, seed: int = 0) -> Batch:
    """Latents of one value, of which the first half of the first axis is the concept's."""
    generator = torch.Generator().manual_seed(seed)
    shape = (items, *tiny.latent.shape[1:])
    mask = torch.zeros(items, 1, *tiny.latent.shape[2:])
    mask[:, :, : shape[2] // 2] = 1
    noise = torch.randn(shape, generator=generator)
    time = torch.rand(items, generator=generator) * 0.8 + 0.1
    return Batch(torch.full(shape, value), noise, time, mask)


def loss(tiny: SimpleNamespace, lesson: Lesson, concept: torch.nn.Module) -> dict:
    return lesson_loss(tiny.loom, concept, lesson, tiny.other, prior=1.0)


def test_what_is_outside_of_the_mask_does_not_count(tiny: SimpleNamespace) -> None:
    """The error is of the target; the noisy latent is what the network sees."""
    concept = concept_for(tiny.network, tiny.context)
    one = batch(tiny, 1.0)
    blind = replace(one, mask=torch.zeros_like(one.mask))
    assert loss(tiny, Lesson(blind, None, None), concept)["total"].item() == 0
    assert loss(tiny, Lesson(one, None, None), concept)["total"].item() > 0.1


def test_a_new_concept_has_the_networks_own_error_about_its_class(tiny: SimpleNamespace) -> None:
    concept = concept_for(tiny.network, tiny.context)
    one = batch(tiny, 1.0)
    one = replace(one, mask=torch.ones_like(one.mask))
    terms = loss(tiny, Lesson(None, None, one), concept)
    mix = tiny.loom.process.at(one.time)
    told = tiny.context.expand(4, -1, -1)
    predicted = tiny.network(mix(one.clean, one.noise), one.time, told)
    wanted = (predicted - (one.clean - one.noise)).square().mean()
    torch.testing.assert_close(terms["prior"], wanted)
    torch.testing.assert_close(terms["total"], wanted)


def test_steps_make_the_concept_better_and_leave_the_network(tiny: SimpleNamespace) -> None:
    before = {name: one.clone() for name, one in tiny.network.state_dict().items()}
    concept = concept_for(tiny.network, tiny.context)
    optimizer = torch.optim.Adam(concept.parameters(), lr=0.05)
    lesson = Lesson(batch(tiny, 1.0), batch(tiny, 1.0, seed=1), batch(tiny, -1.0, seed=2))
    first = {name: float(value.detach()) for name, value in loss(tiny, lesson, concept).items()}
    for _ in range(20):
        terms = loss(tiny, lesson, concept)
        optimizer.zero_grad()
        terms["total"].backward()
        optimizer.step()
    assert float(terms["concept"].detach()) < 0.9 * first["concept"]
    for name, one in tiny.network.state_dict().items():
        assert torch.equal(one, before[name]), name
