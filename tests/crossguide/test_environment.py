"""An environment tells where things are, at which time, on any grid."""

import pytest
import torch

from medgen.crossguide.environment import EnvironmentConfig, EnvironmentEncoder, whereabouts


@pytest.mark.parametrize(
    ("axes", "grid", "halvings", "tokens"),
    [(1, (24,), 0, 24), (2, (32, 32), 2, 64), (3, (8, 12, 8), 2, 12)],
)
def test_each_cell_of_the_coarse_grid_is_a_token(
    axes: int, grid: tuple[int, ...], halvings: int, tokens: int
) -> None:
    torch.manual_seed(0)
    encoder = EnvironmentEncoder(EnvironmentConfig(axes, 3, halvings=halvings, width=16))
    told = encoder(torch.randn(2, 3, *grid), torch.tensor([0.3]))
    assert told.tokens.shape == (2, tokens, 16)
    torch.testing.assert_close(told.embedding.norm(dim=1), torch.ones(2))


def test_it_tells_left_from_right() -> None:
    """Swapped halves are told otherwise, also by the pooled token: places are part of it."""
    torch.manual_seed(0)
    encoder = EnvironmentEncoder(EnvironmentConfig(2, 1, halvings=1, width=16)).eval()
    latent = torch.zeros(1, 1, 8, 8)
    latent[..., :4] = 1
    one, other = (encoder(each, torch.tensor([0.0])) for each in (latent, latent.flip(-1)))
    assert (one.tokens - other.tokens).abs().max() > 0.1
    assert not torch.allclose(one.embedding, other.embedding, atol=1e-3)


def test_it_tells_early_from_late() -> None:
    torch.manual_seed(0)
    encoder = EnvironmentEncoder(EnvironmentConfig(2, 1, halvings=0, width=16)).eval()
    latent = torch.randn(1, 1, 4, 4).expand(2, -1, -1, -1)
    both = encoder(latent, torch.tensor([0.1, 0.9])).tokens
    assert not torch.allclose(both[0], both[1], atol=1e-3)
    one = encoder(latent[:1], torch.tensor([0.1])).tokens
    torch.testing.assert_close(both[:1], one, rtol=1e-4, atol=1e-5)


def test_places_are_mirrored_with_the_grid() -> None:
    sines, cosines = whereabouts(torch.Size([6])).chunk(2, dim=1)
    torch.testing.assert_close(sines.flip(0), -sines)
    torch.testing.assert_close(cosines.flip(0), cosines, atol=1e-6, rtol=0)
