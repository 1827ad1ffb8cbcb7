"""Spots see a few voxels around them, and claims hear the peaks of their own finding."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import softplus

from medgen.encoders.finder import Finder, FinderConfig
from medgen.encoders.spots import Spots
from medgen.modality import Kind

KINDS = ("xray", "ct")
SHAPE = FinderConfig(("a:left", "a:right", "b"), ("above",), KINDS, widths=(8, 8), width=16)


@pytest.fixture
def spots() -> Spots:
    torch.manual_seed(0)
    return Spots(2, 3, 4).eval()


@torch.no_grad()
def test_a_crop_is_told_what_its_volume_is_told_there(spots: Spots) -> None:
    volume = torch.randn(1, 2, 64, 64, 64)
    whole = spots(volume)
    assert whole.shape == (1, 3, 32, 32, 32)
    part = spots(volume[..., 16:48, 16:48, 16:48])
    torch.testing.assert_close(part[..., 4:-4, 4:-4, 4:-4], whole[..., 12:20, 12:20, 12:20])


@torch.no_grad()
def test_a_peak_is_the_highest_of_its_cell_and_side(spots: Spots) -> None:
    volume = torch.randn(1, 2, 12, 16, 16)  # of the three cells across, the middle one has both
    evidence = softplus(spots(volume))[0]
    peaks = spots.peaks(volume, (3, 2, 2))[0]
    assert peaks[1, 1, 1, 0] == evidence[1, 2, 4:, :4].max()
    assert peaks[4, 1, 1, 0] == evidence[1, 3, 4:, :4].max()
    assert not peaks[:3, 2].any()
    assert not peaks[3:, 0].any()


@torch.no_grad()
def test_a_claim_hears_the_spots_of_its_finding_and_side() -> None:
    torch.manual_seed(0)
    plain = Finder(SHAPE).eval()
    finder = Finder(replace(SHAPE, spots=("a", "b"))).eval()
    finder.load_state_dict(finder.state_dict() | plain.state_dict())
    assert finder.own.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 1]]
    deep, kind = torch.randn(1, 4, 16, 16, 16), Kind.parse("ct")
    was = plain(plain.tokens(kind, deep)).odds[0]
    tokens = finder.tokens(kind, deep)
    tokens[..., 16:] = 0
    torch.testing.assert_close(finder(tokens).odds[0], was)
    tokens[0, 5, 16 + 2] = 20  # a, on the right, in the sixth cell
    heard = finder(tokens)
    assert heard.heard.tolist() == [[0, 20, 0]]
    torch.testing.assert_close(heard.odds[0, [0, 2]], was[[0, 2]])
    assert heard.odds[0, 1] > was[1] + 20
    assert heard.attention[0, 1].argmax() == 5
    assert finder.hears is not None
    finder.hears *= 2
    torch.testing.assert_close(finder(tokens).odds - heard.odds, heard.heard)


@torch.no_grad()
def test_only_volumes_have_spots() -> None:
    finder = Finder(replace(SHAPE, spots=("a", "b"))).eval()
    flat = finder.tokens(Kind.parse("xray"), torch.randn(1, 1, 16, 16))
    assert flat.shape[-1] == 16 + 4
    assert not flat[..., 16:].any()
    deep = torch.randn(1, 4, 16, 16, 16)
    stack = finder.stack(Kind.parse("ct"))
    assert stack.spots is not None
    peaks = finder.tokens(Kind.parse("ct"), deep)[..., 16:]
    assert torch.equal(peaks, stack.spots.peaks(deep, (4, 4, 4)).flatten(2).mT)
