"""Weaving nothing is the template; one concept everywhere is that concept alone."""

from dataclasses import replace
from types import SimpleNamespace

import torch

from medgen.concepts.concept import Concept
from medgen.concepts.template import Injection, Template
from medgen.concepts.weaving import Loom, Pattern, weave_estimates, weave_features
from medgen.diffusion.sampler import last, sample_ddim
from tests.concepts.toy import STOPS, alone, learned

NO_FEATURES = Injection(features=0.0, attention=0.0)


def pattern(tiny: SimpleNamespace, concepts: list[Concept], **changes: object) -> Pattern:
    """Concepts side by side along the first axis, and as much of background."""
    grid = tiny.latent.shape[2:]
    parts = len(concepts) + 1
    owner = torch.arange(grid[0]) * parts // grid[0]
    rows = torch.stack([owner == part for part in range(parts)]).float()
    shares = rows.view(parts, -1, *[1] * (len(grid) - 1)).expand(parts, *grid)
    return replace(
        Pattern(concepts, shares, tiny.context, guidance=1.0, injection=NO_FEATURES),
        **changes,
    )


def test_all_features_and_the_same_prompt_are_the_template(
    tiny: SimpleNamespace, template: Template
) -> None:
    concept = learned(tiny.network, tiny.context, 1)
    everything = Injection(features=1.0, attention=1.0, inside=1.0, whole=True)
    asked = pattern(tiny, [concept], injection=everything, suppression=0.0, guidance=3.0)
    woven = last(weave_features(tiny.loom, asked, template, STOPS))
    torch.testing.assert_close(woven, tiny.latent, atol=1e-3, rtol=0)


def test_concepts_that_are_nowhere_leave_the_template(
    tiny: SimpleNamespace, template: Template
) -> None:
    none = torch.zeros(1, *tiny.latent.shape[2:])
    concept = learned(tiny.network, tiny.context, 1)
    asked = pattern(tiny, [concept], shares=torch.cat([none, 1 - none]))
    asked = replace(asked, suppression=0.4, guidance=3.0)
    for weave in (weave_features, weave_estimates):
        woven = last(weave(tiny.loom, asked, template, STOPS))
        torch.testing.assert_close(woven, tiny.latent, atol=1e-3, rtol=0)


def test_one_concept_everywhere_is_that_concept_alone(
    tiny: SimpleNamespace, template: Template
) -> None:
    """Of an image that is woven everywhere, only the noise is the template's."""
    concept = learned(tiny.network, tiny.context, 1)
    ones = torch.ones(1, *tiny.latent.shape[2:])
    asked = pattern(tiny, [concept], shares=torch.cat([ones, 1 - ones]))
    own = alone(tiny.network, concept)
    denoise = Loom(own, own, tiny.loom.process).denoise(concept.context)
    wanted = last(sample_ddim(denoise, tiny.loom.process, template.noise, STOPS))
    woven = last(weave_features(tiny.loom, asked, template, STOPS))
    torch.testing.assert_close(woven, wanted, atol=1e-4, rtol=1e-4)
    assert (woven - tiny.latent).abs().mean() > 0.05


def test_the_order_of_concepts_is_irrelevant(tiny: SimpleNamespace, template: Template) -> None:
    one, other = (learned(tiny.network, tiny.context, seed) for seed in (1, 2))
    asked = pattern(tiny, [one, other], guidance=2.0, suppression=0.2)
    turned = replace(asked, concepts=[other, one], shares=asked.shares[[1, 0, 2]])
    for weave in (weave_features, weave_estimates):
        first, second = (last(weave(tiny.loom, it, template, STOPS)) for it in (asked, turned))
        torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-4)


def test_mixed_estimates_leave_the_background_as_it_is(
    tiny: SimpleNamespace, template: Template
) -> None:
    concept = learned(tiny.network, tiny.context, 1)
    asked = pattern(tiny, [concept], guidance=0.8)
    woven = last(weave_estimates(tiny.loom, asked, template, STOPS))
    outside = asked.shares[-1] == 1
    torch.testing.assert_close(woven[..., outside], tiny.latent[..., outside])
    assert (woven - tiny.latent)[..., ~outside].abs().mean() > 1e-3


def test_guidance_0_ignores_the_concepts(tiny: SimpleNamespace, template: Template) -> None:
    concept = learned(tiny.network, tiny.context, 1)
    asked = pattern(tiny, [concept], guidance=0.0)
    woven = last(weave_features(tiny.loom, asked, template, STOPS))
    torch.testing.assert_close(woven, tiny.latent, atol=1e-3, rtol=0)
