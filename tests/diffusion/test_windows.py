"""Windows: what agrees is put together exactly, what disagrees without a step anywhere."""

import math

import pytest
import torch

from medgen.diffusion.windows import in_windows

SHAPES = [((20,), (16,)), ((40, 23), (16, 16)), ((10, 33, 50), (16, 16, 24)), ((7, 60), (16, 16))]


@pytest.mark.parametrize(("grid", "sizes"), SHAPES)
@pytest.mark.parametrize("overlap", [0, 4, 16])
def test_what_agrees_is_put_together_exactly(
    grid: tuple[int, ...], sizes: tuple[int, ...], overlap: int
) -> None:
    whole = torch.randn(1, 2, *grid, generator=torch.Generator().manual_seed(0))
    found = in_windows(lambda window: 3 * window, whole, sizes, overlap)
    torch.testing.assert_close(found, 3 * whole)


def quarrel(grid: tuple[int, ...], size: int, overlap: int) -> torch.Tensor:
    """What comes of windows that answer 0, 1, 0, 1 ..., in their order."""
    asked = iter(range(1000))
    whole = torch.zeros(1, 1, *grid)
    found = in_windows(lambda window: window + next(asked) % 2, whole, [size] * len(grid), overlap)
    return found[0, 0]


def test_two_windows_fade_by_a_squared_sine() -> None:
    found = quarrel((28, 16, 16), 16, 4)
    ramp = torch.sin((torch.arange(4) + 0.5) / 4 * math.pi / 2).square()
    expected = torch.cat([torch.zeros(12), ramp, torch.ones(12)])
    torch.testing.assert_close(found, expected[:, None, None].expand(28, 16, 16))


@pytest.mark.parametrize("grid", [(40, 28), (28, 40, 28), (30, 29, 41)])
def test_there_is_no_step_even_at_the_corners(grid: tuple[int, ...]) -> None:
    """Neighbours differ by the steepest slope of the sine, wherever on the grid they are."""
    found = quarrel(grid, 16, 4)
    assert found.min() < 0.01
    assert found.max() > 0.99
    for axis in range(len(grid)):
        assert found.diff(dim=axis).abs().max() <= math.pi / 2 / 4 + 1e-6
