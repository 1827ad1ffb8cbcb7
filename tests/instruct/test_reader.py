"""References change nothing before training, nothing for others, and their order means nothing."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from medgen.instruct.reader import instructed

TIME = torch.tensor([0.6])


@torch.no_grad()
def denoised(reading: SimpleNamespace, *items: list[Tensor], scale: float = 1.0) -> Tensor:
    read = reading.read(*items)
    denoise = instructed(reading.denoise, reading.network, reading.reader, read, scale)
    return denoise(reading.noisy, TIME)


@torch.no_grad()
def plain(reading: SimpleNamespace) -> Tensor:
    return reading.denoise(reading.noisy, TIME)


def test_the_lower_half_is_what_the_bottleneck_gets(reading: SimpleNamespace) -> None:
    got: list[Tensor] = []

    def keep(module: object, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        got.append(named["hidden_states"])

    context = reading.context.expand(2, -1, -1)
    handle = reading.network.bottleneck.register_forward_pre_hook(keep, with_kwargs=True)
    with torch.no_grad():
        reading.network(reading.noisy, TIME, context)
        handle.remove()
        assert torch.equal(reading.network.lowered(reading.noisy, TIME, context), got[0])


def test_untrained_it_is_no_adapter_to_the_bit(reading: SimpleNamespace) -> None:
    tokens = reading.tokens([0, 1])
    assert torch.equal(denoised(reading, tokens, tokens[:1]), plain(reading))


def test_without_references_nothing_changes_to_the_bit(reading: SimpleNamespace) -> None:
    """Trained or not, alone or beside an item that has some."""
    reading.shake(reading.reader)
    told = denoised(reading, reading.tokens([0, 1]), [])
    assert torch.equal(told[1], plain(reading)[1])
    assert not torch.allclose(told[0], plain(reading)[0], atol=1e-3)
    assert torch.equal(denoised(reading, [], []), plain(reading))


def test_the_order_of_references_means_nothing(reading: SimpleNamespace) -> None:
    reading.shake(reading.reader)
    one, two, three = reading.tokens([0, 1, 2])
    there = denoised(reading, [one, two, three], [two])
    torch.testing.assert_close(denoised(reading, [three, one, two], [two]), there)


def test_roles_that_are_swapped_are_another_instruction(reading: SimpleNamespace) -> None:
    reading.shake(reading.reader)
    there, back = (reading.tokens(roles) for roles in ([0, 2], [2, 0]))
    assert (denoised(reading, there, []) - denoised(reading, back, [])).abs().max() > 1e-3


def test_where_something_lies_in_a_reference_counts(reading: SimpleNamespace) -> None:
    reading.shake(reading.reader)
    features = torch.randn(1, 16, *[2] * (reading.noisy.ndim - 2))
    roles = torch.tensor([2])
    with torch.no_grad():
        here, there = (
            reading.reader.read(features, roles),
            reading.reader.read(features.flip(2), roles),
        )
    assert (denoised(reading, [here], []) - denoised(reading, [there], [])).abs().max() > 1e-3


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_the_scale_of_references(reading: SimpleNamespace, scale: float) -> None:
    reading.shake(reading.reader)
    tokens = reading.tokens([1])
    seen = denoised(reading, tokens, tokens)
    wanted = plain(reading) + scale * (seen - plain(reading))
    torch.testing.assert_close(denoised(reading, tokens, tokens, scale=scale), wanted)


def test_items_are_read_as_if_alone(reading: SimpleNamespace) -> None:
    reading.shake(reading.reader)
    some, more = reading.tokens([3]), reading.tokens([0, 4], seed=1)
    both = denoised(reading, some, more)
    torch.testing.assert_close(denoised(reading, some, [])[0], both[0])
    torch.testing.assert_close(denoised(reading, [], more)[1], both[1])


def test_nobody_stays_attached(reading: SimpleNamespace) -> None:
    reading.shake(reading.reader)
    before = plain(reading)
    denoised(reading, reading.tokens([0]), [])
    assert torch.equal(plain(reading), before)


def test_only_the_answer_learns_at_first(reading: SimpleNamespace) -> None:
    read = reading.read(reading.tokens([0]), [])
    with reading.reader.attached(reading.network, read):
        reading.denoise(reading.noisy, TIME).square().sum().backward()
    learning = {
        name.partition(".")[0]
        for name, parameter in reading.reader.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    }
    assert learning == {"answer"}
