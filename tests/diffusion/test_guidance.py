"""Guidance has three scales whose meaning is fixed."""

import pytest
import torch

from medgen.diffusion.guidance import Guidance, guide, guided, rescaled

UNCONDITIONAL, CONDITIONAL = torch.tensor([[[0.0, 1.0]]]), torch.tensor([[[2.0, 5.0]]])
NOISY, TIME = torch.zeros(1, 1, 2), torch.tensor([0.5])


def never(noisy, time):
    raise AssertionError("this denoiser does not matter here")


def empty(noisy, time):
    return UNCONDITIONAL


def conditional(noisy, time):
    return CONDITIONAL


def test_zero_one_and_two():
    assert torch.equal(guide(UNCONDITIONAL, CONDITIONAL, 0.0), UNCONDITIONAL)
    assert torch.equal(guide(UNCONDITIONAL, CONDITIONAL, 1.0), CONDITIONAL)
    assert torch.equal(guide(UNCONDITIONAL, CONDITIONAL, 2.0), 2 * CONDITIONAL - UNCONDITIONAL)


def test_what_does_not_matter_is_not_run():
    assert torch.equal(guided(conditional, never, Guidance(1.0))(NOISY, TIME), CONDITIONAL)
    assert torch.equal(guided(never, empty, Guidance(0.0))(NOISY, TIME), UNCONDITIONAL)


def test_two_denoisers_make_one():
    denoise = guided(conditional, empty, Guidance(2.0))
    assert torch.equal(denoise(NOISY, TIME), 2 * CONDITIONAL - UNCONDITIONAL)


@pytest.mark.parametrize(("time", "pushes"), [(0.1, False), (0.2, True), (0.8, True), (0.9, False)])
def test_guidance_keeps_to_its_interval(time, pushes):
    denoise = guided(conditional, empty, Guidance(2.0, interval=(0.2, 0.8)))
    expected = 2 * CONDITIONAL - UNCONDITIONAL if pushes else CONDITIONAL
    assert torch.equal(denoise(NOISY, torch.tensor([time])), expected)


def test_rescaling_gives_each_item_its_deviation_back():
    wanted, pushed = torch.randn(2, 3, 16, 16), 5 * torch.randn(2, 3, 16, 16)
    deviation = rescaled(pushed, wanted, 1.0).std((1, 2, 3))
    torch.testing.assert_close(deviation, wanted.std((1, 2, 3)))
    assert torch.equal(rescaled(pushed, wanted, 0.0), pushed)
    half = (pushed + rescaled(pushed, wanted, 1.0)) / 2
    torch.testing.assert_close(rescaled(pushed, wanted, 0.5), half)


def test_rescaling_leaves_a_constant_alone():
    flat = torch.full((1, 1, 4), 0.7)
    assert torch.equal(rescaled(flat, flat, 0.7), flat)


def test_a_guided_denoiser_rescales():
    denoise = guided(conditional, empty, Guidance(2.0, rescale=0.7))
    expected = rescaled(2 * CONDITIONAL - UNCONDITIONAL, CONDITIONAL, 0.7)
    torch.testing.assert_close(denoise(NOISY, TIME), expected)
