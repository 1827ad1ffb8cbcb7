"""Principal components of blocks: exact where all are kept, and otherwise nothing is closer."""

import pytest
import torch

from medgen.latents.principal import PrincipalComponents


@pytest.mark.parametrize("axes", [2, 3])
def test_a_whole_basis_loses_nothing(axes: int) -> None:
    codec = PrincipalComponents(axes, 3, 2, 3 * 2**axes)
    grid = torch.randn(2, 3, *[4, 6, 8][:axes])
    assert codec.encode(grid).shape == (2, 3 * 2**axes, *[2, 3, 4][:axes])
    assert torch.equal(codec.decode(codec.encode(grid)), grid)
    codec.fit([grid])
    torch.testing.assert_close(codec.decode(codec.encode(grid)), grid, atol=1e-5, rtol=0)


def test_what_lies_in_a_plane_comes_back_exactly() -> None:
    torch.manual_seed(0)
    patterns = torch.randn(2, 4, 4)
    grid = torch.einsum("bkij,khw->bihjw", torch.randn(3, 2, 5, 6), patterns).reshape(3, 1, 20, 24)
    codec = PrincipalComponents(2, 1, 4, 2)
    codec.fit([grid])
    torch.testing.assert_close(codec.decode(codec.encode(grid)), grid, atol=1e-5, rtol=0)
    torch.testing.assert_close(codec.basis @ codec.basis.T, torch.eye(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(codec.encode(grid).square().mean((0, 2, 3)), torch.ones(2))


def test_what_is_lost_is_what_the_weakest_singular_values_say() -> None:
    torch.manual_seed(0)
    grid = torch.randn(1, 2, 6, 6).cumsum(2)
    codec = PrincipalComponents(2, 2, 2, 3)
    codec.fit([grid])
    blocks = grid.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 1, 4, 5).reshape(-1, 8)
    lost = torch.linalg.svdvals(blocks)[3:].square().sum()
    error = (codec.decode(codec.encode(grid)) - grid).square().sum()
    torch.testing.assert_close(error, lost, rtol=1e-4, atol=0)


def test_precision_does_not_depend_on_autocast() -> None:
    codec = PrincipalComponents(2, 1, 2, 4)
    grid = torch.rand(1, 1, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(codec.decode(codec.encode(grid)), grid)


def test_faint_channels_are_as_loud_as_the_others() -> None:
    torch.manual_seed(0)
    grids = [torch.randn(2, 3, 8, 4) * torch.tensor([1.0, 0.01, 0.0]).view(-1, 1, 1)]
    codec = PrincipalComponents(2, 3, 2, 4)
    codec.fit(grids)
    power = codec.even(grids[0]).square().mean((0, 2, 3))
    torch.testing.assert_close(power, torch.tensor([1.0, 1.0, 0.0]))


def test_nothing_to_find_components_in() -> None:
    with pytest.raises(ValueError, match="no image"):
        PrincipalComponents(2, 1, 2, 4).fit([])
