"""Flows in company: a silent guide changes nothing, and nobody hears himself."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from medgen.crossguide.environment import Environment
from medgen.crossguide.flows import CrossGuide, Known, Layout, together
from medgen.crossguide.listener import listener_for
from medgen.diffusion.denoiser import Denoise
from medgen.diffusion.sampler import last, sample_dpm_solver, sample_heun
from medgen.diffusion.schedule import uniform_stops

STOPS = uniform_stops(4)
HALF = torch.tensor([0.5])


def jointly(company: SimpleNamespace, **known: Known) -> Denoise:
    return together(company.voices, company.guide, company.layout, company.process, known)


def walked(company: SimpleNamespace, batch: int = 2) -> dict[str, Tensor]:
    noise = company.layout.joined(company.noise(batch))
    end = last(sample_heun(jointly(company), company.process, noise, STOPS))
    return company.layout.parted(end)


def test_parted_is_the_inverse_of_joined() -> None:
    layout = Layout({"b": (2, 3), "a": (1, 2, 2)})
    latents = {"a": torch.arange(8.0).view(2, 1, 2, 2), "b": torch.arange(12.0).view(2, 2, 3)}
    joined = layout.joined(latents)
    assert joined.shape == (2, 10)
    torch.testing.assert_close(joined[0], torch.cat([torch.arange(4.0), torch.arange(6.0)]))
    parted = layout.parted(joined)
    assert all(torch.equal(parted[name], latents[name]) for name in latents)


@pytest.mark.parametrize("sampler", [sample_heun, sample_dpm_solver])
def test_a_silent_guide_changes_not_a_bit(company: SimpleNamespace, sampler: object) -> None:
    """PAPERS, golden check 3: the joint output is that of each flow alone."""
    noise = company.noise(2)
    end = last(
        sampler(jointly(company), company.process, company.layout.joined(noise), STOPS)  # type: ignore[operator]
    )
    for name, latent in company.layout.parted(end).items():
        alone = sampler(company.voices[name].denoise, company.process, noise[name], STOPS)  # type: ignore[operator]
        assert torch.equal(latent, last(alone))


def test_a_guide_that_speaks_changes_both(company: SimpleNamespace) -> None:
    before = walked(company)
    company.shake(company.guide)
    after = walked(company)
    assert all(not torch.allclose(before[name], after[name], atol=1e-4) for name in before)


def test_a_flow_hears_the_other_and_not_itself(company: SimpleNamespace) -> None:
    company.shake(company.guide)
    with torch.no_grad():
        for parameter in company.guide.environments["xray"].parameters():
            parameter.fill_(torch.nan)
    with torch.no_grad():
        clean = jointly(company)(company.layout.joined(company.noise(2)), HALF)
    parts = company.layout.parted(clean)
    assert parts["xray"].isfinite().all()
    assert parts["text"].isnan().any()


def test_the_order_of_flows_does_not_matter(company: SimpleNamespace) -> None:
    company.shake(company.guide)
    one = walked(company)
    company.voices = dict(reversed(company.voices.items()))
    company.layout = Layout(dict(reversed(company.layout.shapes.items())))
    other = walked(company)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_batch_is_its_items(company: SimpleNamespace) -> None:
    company.shake(company.guide)
    noise = company.noise(3)
    whole = company.layout.parted(jointly(company)(company.layout.joined(noise), HALF))
    for at in range(3):
        own = {name: latent[at : at + 1] for name, latent in noise.items()}
        one = company.layout.parted(jointly(company)(company.layout.joined(own), HALF))
        for name in one:
            torch.testing.assert_close(one[name], whole[name][at : at + 1], rtol=1e-4, atol=1e-5)


def guide_that_hears(company: SimpleNamespace, sources: dict[str, int], shared: int) -> CrossGuide:
    """The company's guide, with another listener of `xray`."""
    guide: CrossGuide = company.guide
    guide.listeners["xray"] = listener_for(
        company.flows["xray"], sources, width=16, heads=2, shared=shared
    )
    company.shake(guide)
    return guide


def test_a_stranger_is_heard_by_its_place_alone(company: SimpleNamespace) -> None:
    guide = guide_that_hears(company, {}, shared=64)
    assert guide.heard("xray", ["text", "xray"]) == {"text": False}
    noisy = company.noise(2)
    told = guide.tell(noisy, HALF)
    other = guide.tell(company.noise(2, seed=9), HALF)["text"]
    answers = []
    for tokens, embedding in (
        (told["text"].tokens, told["text"].embedding),
        (other.tokens, told["text"].embedding),
        (told["text"].tokens, other.embedding),
    ):
        heard = {"text": Environment(tokens, embedding)}
        with guide.hearing("xray", company.flows["xray"], heard):
            answers.append(company.voices["xray"].denoise(noisy["xray"], HALF))
    assert torch.equal(answers[0], answers[1])
    assert not torch.allclose(answers[0], answers[2], atol=1e-4)


def test_a_listener_hears_itself_if_that_is_its_source(company: SimpleNamespace) -> None:
    guide = guide_that_hears(company, {"xray": 16}, shared=0)
    assert guide.heard("xray", ["text", "xray"]) == {"xray": True}
    assert guide.heard("text", ["text"]) == {}
    assert guide.heard("ct", ["text"]) == {}


def test_nobody_listens_once_the_walk_is_over(company: SimpleNamespace) -> None:
    noise = company.noise(1)
    before = {name: company.voices[name].denoise(noise[name], HALF) for name in noise}
    company.shake(company.guide)
    walked(company, batch=1)
    for name, latent in noise.items():
        assert torch.equal(company.voices[name].denoise(latent, HALF), before[name])


def test_a_known_latent_is_heard_and_not_made(company: SimpleNamespace) -> None:
    company.shake(company.guide)
    noise = company.noise(2)
    layout = Layout({"xray": (2, 8, 8)})
    voices = {"xray": company.voices["xray"]}
    made = []
    for seed in (5, 6):
        known = {"text": Known(company.noise(2, seed)["text"], noise["text"])}
        denoise = together(voices, company.guide, layout, company.process, known)
        made.append(denoise(layout.joined({"xray": noise["xray"]}), HALF))
    assert made[0].shape == (2, 2 * 8 * 8)
    assert not torch.allclose(*made, atol=1e-4)
    pure = torch.tensor([1.0])  # at time 1 nothing is left of it but its noise
    ends = [
        together(
            voices,
            company.guide,
            layout,
            company.process,
            {"text": Known(company.noise(2, seed)["text"], noise["text"])},
        )(layout.joined({"xray": noise["xray"]}), pure)
        for seed in (5, 6)
    ]
    torch.testing.assert_close(*ends)


def test_a_known_latent_is_at_each_time_what_the_process_says(company: SimpleNamespace) -> None:
    clean, noise = torch.full((1, 1, 2), 3.0), torch.full((1, 1, 2), -1.0)
    known = Known(clean, noise)
    assert known.at(company.process, torch.tensor([0.25])).tolist() == [[[2.0, 2.0]]]
