"""Cells say what lies in them, and are corrected where masks know better."""

import math

import pytest
import torch
import torch.nn.functional as F

from medgen.align.grounding import Grounding, grounding_loss
from medgen.encoders.cells import CellEncoder
from medgen.encoders.image import ImageEncoderConfig

CONFIG = ImageEncoderConfig(2, 1, (8, 8), width=16, layers=1, heads=2, embedding=12)
KNOWN = torch.tensor([True, True])


def masks() -> torch.Tensor:
    """Two images of 8 by 8 half-size cells; the first finding fills a corner of the first."""
    there = torch.zeros(2, 2, 8, 8)
    there[0, 0, :4, :4] = 1
    return there


def test_who_knows_nothing_pays_a_bit_for_each_finding() -> None:
    blind = torch.zeros(2, 64, 2)
    # Of the second finding there is none, so only cells without it count.
    expected = (math.log(2) + math.log(2) / 2) / 2
    assert grounding_loss([blind], masks(), KNOWN).item() == pytest.approx(expected)


def test_few_cells_count_as_much_as_many() -> None:
    there = masks()
    right = torch.where(there > 0, 20.0, -20.0).flatten(2).mT
    missed = torch.where(there[:, :1] > 0, -20.0, -20.0).flatten(2).mT
    assert grounding_loss([right], there, KNOWN) < 1e-6
    one = grounding_loss([missed], there[:, :1], KNOWN).item()
    more = torch.where(there[:, :1] > 0, 20.0, 20.0).flatten(2).mT
    assert one == pytest.approx(10.0)  # all of the 16 cells with it, each at 20 nats
    assert grounding_loss([more], there[:, :1], KNOWN).item() == pytest.approx(10.0)


def test_coarser_cells_hold_what_any_of_their_cells_holds() -> None:
    speck = torch.zeros(1, 1, 8, 8)
    speck[0, 0, 2, 5] = 1
    coarse = torch.full((1, 16, 1), -20.0)
    coarse[0, 1 * 4 + 2] = 20.0
    fine = torch.where(speck > 0, 20.0, -20.0).flatten(2).mT
    assert grounding_loss([fine, coarse, coarse], speck, torch.tensor([True])) < 1e-6


def test_an_image_without_masks_does_not_count() -> None:
    logits = torch.randn(2, 64, 2, requires_grad=True)
    grounding_loss([logits], masks(), torch.tensor([True, False])).backward()
    assert logits.grad is not None
    assert logits.grad[0].any()
    assert not logits.grad[1].any()
    nobody = grounding_loss([logits], masks(), torch.tensor([False, False]))
    assert nobody == 0
    nobody.backward()  # and has a gradient, as every term of a loss must


def test_a_patch_is_read_as_in_its_image() -> None:
    """What a level makes of a place does not depend on the rest of the image."""
    encoder = CellEncoder(CONFIG).eval()
    image = torch.randn(1, 1, 32, 32)
    brighter = image.clone()
    brighter[..., 24:] = 9
    with torch.no_grad():
        one, other = (encoder.features(each)[-1] for each in (image, brighter))
    assert torch.equal(one[..., :4], other[..., :4])
    assert not torch.allclose(one[..., 6:], other[..., 6:])


def test_spots_are_found_in_places_never_trained() -> None:
    torch.manual_seed(0)
    encoder, heads = CellEncoder(CONFIG), Grounding(CONFIG, 1)
    optimizer = torch.optim.Adam([*encoder.parameters(), *heads.parameters()], 1e-2)

    def spots(rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        there = torch.zeros(8, 1, 8, 8)
        there[:, :, rows] = (torch.rand(8, 1, 8, 8)[:, :, rows] < 0.15).float()
        return F.interpolate(there, scale_factor=2) + 0.1 * torch.randn(8, 1, 16, 16), there

    for _ in range(60):
        image, there = spots(slice(0, 4))
        features = encoder.features(image)
        loss = grounding_loss(heads(features), there, torch.ones(8, dtype=torch.bool))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    image, there = spots(slice(4, 8))
    found = heads(encoder.features(image))[0][..., 0] > 0
    assert (found == there.flatten(1).bool()).float().mean() > 0.97


def test_the_context_has_a_head_of_its_own() -> None:
    encoder, heads = CellEncoder(CONFIG), Grounding(CONFIG, 3)
    features = encoder.features(torch.randn(2, 1, 16, 24))
    found = heads(features, encoder.read(features[-1]))
    assert [tuple(each.shape) for each in found] == [(2, 96, 3), (2, 24, 3), (2, 24, 3)]
    assert len(heads(features)) == 2
