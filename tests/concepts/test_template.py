"""A template is found again from its noise, and lends its features where it should."""

from types import SimpleNamespace

import torch

from medgen.concepts.template import Injection, Template
from medgen.diffusion.sampler import last, sample_ddim
from tests.concepts.toy import STOPS

TIME = torch.tensor([0.6])
ALL = Injection(features=1.0, attention=1.0, inside=1.0, whole=True)


def pair(tiny: SimpleNamespace) -> tuple[torch.Tensor, torch.Tensor]:
    """Two noisy latents, and what they are told."""
    generator = torch.Generator().manual_seed(5)
    noisy = torch.randn((2, *tiny.latent.shape[1:]), generator=generator)
    return noisy, torch.cat([tiny.context, tiny.other])


def run(tiny: SimpleNamespace, injection: Injection, done: float, where: float) -> torch.Tensor:
    noisy, told = pair(tiny)
    share = torch.full((2, 1, *tiny.latent.shape[2:]), where)
    with injection.attached(tiny.network, done, share, patch=1):
        return tiny.network(noisy, TIME, told)


def test_the_sampler_finds_the_template_again(tiny: SimpleNamespace, template: Template) -> None:
    denoise = tiny.loom.denoise(tiny.context)
    again = last(sample_ddim(denoise, tiny.loom.process, template.noise, STOPS))
    torch.testing.assert_close(again, tiny.latent, atol=1e-3, rtol=0)
    assert len(template.path) == 5
    torch.testing.assert_close(template.at(torch.tensor([1.0])), template.noise)


def test_with_all_features_an_item_is_the_template(tiny: SimpleNamespace) -> None:
    noisy, told = pair(tiny)
    template, other = run(tiny, ALL, 0.0, 1.0).split(1)
    torch.testing.assert_close(other, template)
    torch.testing.assert_close(template, tiny.network(noisy[:1], TIME, told[:1]))


def test_without_features_it_is_itself(tiny: SimpleNamespace) -> None:
    noisy, told = pair(tiny)
    plain = tiny.network(noisy, TIME, told)
    late = Injection(features=0.5, attention=0.5, inside=1.0, whole=True)
    torch.testing.assert_close(run(tiny, late, 0.5, 0.0), plain)
    inside = Injection(features=1.0, attention=1.0, inside=0.0, whole=True)
    torch.testing.assert_close(run(tiny, inside, 0.0, 1.0), plain)


def test_the_usual_layers_hold_the_layout_and_leave_the_rest(tiny: SimpleNamespace) -> None:
    noisy, told = pair(tiny)
    plain = tiny.network(noisy, TIME, told)
    usual = run(tiny, Injection(features=1.0, attention=1.0), 0.0, 0.0)
    torch.testing.assert_close(usual[0], plain[0])
    before, after = (float((one[1] - one[0]).square().mean()) for one in (plain, usual))
    assert 0 < after < before


def test_each_threshold_ends_its_own_injection(tiny: SimpleNamespace) -> None:
    only = Injection(features=0.0, attention=0.4)
    noisy, told = pair(tiny)
    plain = tiny.network(noisy, TIME, told)
    assert (run(tiny, only, 0.3, 0.0) - plain).abs().max() > 1e-4
    torch.testing.assert_close(run(tiny, only, 0.4, 0.0), plain)
