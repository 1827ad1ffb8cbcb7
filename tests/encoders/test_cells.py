"""An encoder of two dimensions or three sees where things are: left is not right."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from medgen.encoders.cells import CellEncoder
from medgen.encoders.image import ImageEncoderConfig
from medgen.encoders.places import places

SPACES = {2: (24, 16), 3: (16, 8, 8)}


def encoder_of(spatial_dims: int) -> CellEncoder:
    torch.manual_seed(0)
    return CellEncoder(
        ImageEncoderConfig(spatial_dims, 1, (8, 8, 16), width=16, heads=2, embedding=12)
    )


def images(spatial_dims: int, batch: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, 1, *SPACES[spatial_dims], generator=generator) * 2 - 1


@pytest.mark.parametrize("dims", [2, 3])
def test_a_mirrored_image_is_another_image(dims: int) -> None:
    encoder, image = encoder_of(dims).eval(), images(dims)
    one, other = encoder(image).embedding, encoder(image.flip(2)).embedding
    assert (one - other).norm(dim=1).min() > 1e-2


@torch.no_grad()
@pytest.mark.parametrize("dims", [2, 3])
def test_cells_alone_cannot_tell_left_from_right_but_their_places_can(dims: int) -> None:
    encoder, image = encoder_of(dims), images(dims)
    image[:, :, :8] = 1
    mean = {2: nn.AvgPool2d(8), 3: nn.AvgPool3d(8)}[dims]  # which commutes with mirroring
    encoder.levels, encoder.cell = nn.Sequential(mean), nn.Linear(1, 16)
    one, other = encoder(image).embedding, encoder(image.flip(2)).embedding
    assert (one - other).norm(dim=1).min() > 1e-3
    encoder.place.weight.zero_()
    one, other = encoder(image).embedding, encoder(image.flip(2)).embedding
    torch.testing.assert_close(one, other)


def test_places_are_counted_from_the_middle() -> None:
    table = places((3, 5)).unflatten(0, (3, 5))
    axis = slice(0, 6)
    torch.testing.assert_close(table[..., axis], -table.flip(0)[..., axis])  # sines of the rows
    middle = table[1, 2]
    assert middle.tolist() == pytest.approx(([0.0] * 6 + [1.0] * 6) * 2)
    assert len({tuple(row) for row in places((64, 1)).tolist()}) == 64


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("factor", [1, 2])
def test_any_size_that_divides_gives_a_token_for_each_cell(dims: int, factor: int) -> None:
    encoder = encoder_of(dims)
    space = [8 * factor] + [8] * (dims - 1)
    encoded = encoder(torch.zeros(2, 1, *space))
    assert encoded.context.shape == (2, factor, 16)
    assert encoded.mask.all()
    torch.testing.assert_close(encoded.embedding.norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("dims", [2, 3])
def test_a_size_that_does_not_divide_is_refused(dims: int) -> None:
    with pytest.raises(ValueError, match="do not divide by 8"):
        encoder_of(dims)(torch.zeros(1, 1, *[12] * dims))


@pytest.mark.parametrize("dims", [2, 3])
def test_a_batch_is_its_items(dims: int) -> None:
    encoder, image = encoder_of(dims), images(dims)
    whole = encoder(image).embedding
    items = torch.cat([encoder(item[None]).embedding for item in image])
    torch.testing.assert_close(whole, items, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dims", [2, 3])
def test_nothing_is_an_image_too(dims: int) -> None:
    encoder = encoder_of(dims)
    black = encoder(torch.full((1, 1, *[8] * dims), -1.0))
    assert torch.equal(encoder.empty().embedding, black.embedding)
    assert encoder.empty().context.shape == (1, 1, 16)
    assert encoder.empty().embedding.isfinite().all()


@pytest.mark.parametrize("dims", [2, 3])
def test_gradients_reach_every_parameter(dims: int) -> None:
    encoder = encoder_of(dims)
    encoder(images(dims)).embedding.sum().backward()
    assert not [name for name, p in encoder.named_parameters() if p.grad is None]


def test_autocast_leaves_the_embedding_in_float32() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder_of(2)(images(2)).embedding.dtype == torch.float32


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
def test_it_learns_on_which_side_something_is(dims: int) -> None:
    """What an average over all places could not know."""
    encoder, generator = encoder_of(dims), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(encoder.parameters(), 1e-3)

    def studies(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        size = SPACES[dims][0]
        image = 0.1 * torch.randn(count, 1, *SPACES[dims], generator=generator)
        side = torch.randint(2, (count,), generator=generator)
        depth = torch.randint(1, size // 2 - 2, (count,), generator=generator)
        for item, (is_far, start) in enumerate(zip(side.tolist(), depth.tolist(), strict=True)):
            at = size - start - 2 if is_far else start
            image[item, 0, at : at + 2, 3:6] += 1
        return image, side

    for _ in range(80):
        image, side = studies(16)
        chances = (10 * encoder(image).embedding[:, 0]).sigmoid()  # of the near side
        loss = F.binary_cross_entropy(chances, 1.0 - side)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    image, side = studies(100)
    right = (encoder(image).embedding[:, 0] < 0) == (side == 1)
    assert right.float().mean() > 0.95
