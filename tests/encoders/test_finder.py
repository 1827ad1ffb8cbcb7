"""Claims read any number of images in any order; an image seen twice counts as once."""

import pytest
import torch

from medgen.encoders.finder import Finder, FinderConfig
from medgen.modality import Kind

SHAPE = FinderConfig(("a:left", "a:right", "b"), ("above", "below"), widths=(8, 8), width=16)


@pytest.fixture
def finder() -> Finder:
    torch.manual_seed(0)
    return Finder(SHAPE).eval()


@torch.no_grad()
def tokens(finder: Finder, count: int = 2) -> torch.Tensor:
    images = torch.randn(count, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    return finder.tokens(Kind.parse("xray"), images)


@torch.no_grad()
def test_twice_the_image_is_the_image(finder: Finder) -> None:
    one = tokens(finder, 1)
    once, twice = finder(one), finder(torch.cat([one, one], dim=1))
    torch.testing.assert_close(twice.odds, once.odds)
    torch.testing.assert_close(twice.size, once.size)
    torch.testing.assert_close(twice.attention[..., :16] * 2, once.attention)


@torch.no_grad()
def test_the_order_of_images_is_irrelevant(finder: Finder) -> None:
    first, other = tokens(finder)[:1], tokens(finder)[1:]
    one, two = (finder(torch.cat(both, dim=1)) for both in ((first, other), (other, first)))
    torch.testing.assert_close(one.odds, two.odds)
    torch.testing.assert_close(one.attention.sum(-1), torch.ones(1, 3))


@torch.no_grad()
def test_what_is_masked_is_not_there_and_a_batch_is_its_items(finder: Finder) -> None:
    both = tokens(finder)
    mask = torch.ones(2, 16)
    mask[1, 10:] = 0
    batch = finder(both, mask)
    alone = finder(both[:1]), finder(both[1:, :10])
    torch.testing.assert_close(batch.odds, torch.cat([one.odds for one in alone]))
    torch.testing.assert_close(batch.attention[1, :, 10:], torch.zeros(3, 6))
