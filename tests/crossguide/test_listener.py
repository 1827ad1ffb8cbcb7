"""A listener adds nothing before it has learned, and afterwards what attention over others says."""

from types import SimpleNamespace

import pytest
import torch

from medgen.crossguide.listener import CrossCondition, Listener, listener_for
from medgen.diffusion.attention import cross_attention_layers


def test_it_attaches_to_every_cross_attention(company: SimpleNamespace) -> None:
    for name, layers in (("text", 2), ("xray", 4)):
        found = cross_attention_layers(company.flows[name])
        assert len(found) == layers, list(found)
        assert set(company.guide.listeners[name].config.layers) == set(found)
        assert all(one.width == 16 for one in found.values())


def test_one_token_is_heard_by_everyone_alike() -> None:
    """Attention over a single token is that token's value, whatever is asked."""
    torch.manual_seed(0)
    condition = CrossCondition(6, 8, heads=2)
    torch.nn.init.normal_(condition.answer.weight)
    said = torch.randn(2, 1, 8)
    heard = condition(torch.randn(2, 5, 6), said)
    value = condition.offer(said).chunk(2, dim=-1)[1]
    wanted = 0.5 * condition.answer(value)  # the gate is half open
    torch.testing.assert_close(heard, wanted.expand(-1, 5, -1))


def test_a_shut_gate_lets_nothing_through() -> None:
    condition = CrossCondition(6, 8, heads=2)
    torch.nn.init.normal_(condition.answer.weight)
    torch.nn.init.constant_(condition.gate, -200.0)
    assert not condition(torch.randn(1, 5, 6), torch.randn(1, 3, 8)).any()


def test_only_the_answers_learn_at_first(company: SimpleNamespace) -> None:
    """The projection that is zero gets a gradient: it can leave its place."""
    listener: Listener = company.guide.listeners["xray"]
    noise = company.noise(1)
    told = company.guide.tell(noise, torch.tensor([0.5]))
    with listener.attached(company.flows["xray"], {"text": told["text"].tokens}):
        company.voices["xray"].denoise(noise["xray"], torch.tensor([0.5])).square().sum().backward()
    learning = {
        name.rpartition(".")[0].rpartition(".")[2]
        for name, parameter in listener.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    }
    assert learning == {"answer"}


def test_a_stranger_is_refused(company: SimpleNamespace) -> None:
    listener = listener_for(company.flows["xray"], {"text": 16}, width=16)
    with (
        pytest.raises(KeyError),
        listener.attached(company.flows["xray"], {"ct": torch.zeros(1, 1, 16)}),
    ):
        pass
