"""Parts know their side, and what they are called when the body is mirrored."""

import torch

from medgen.finding import Side
from medgen.phantom.anatomy import Anatomy
from medgen.phantom.part import MIRRORED, Part, side_of
from medgen.phantom.placement import STILL, PlacementConfig, place_parts


def test_sides() -> None:
    assert side_of(Part.LEFT_UPPER_LOBE) is Side.LEFT
    assert side_of(Part.RIGHT_RIB) is Side.RIGHT
    assert side_of(Part.HEART) is None
    assert side_of(Part.NONE) is None


def test_mirroring_swaps_sides() -> None:
    for part in Part:
        swapped = Part(int(MIRRORED[part]))
        sides = {side_of(part), side_of(swapped)}
        assert sides in ({Side.LEFT, Side.RIGHT}, {None})


def test_a_mirrored_body_has_its_parts_named_where_they_lie() -> None:
    part = torch.full((6, 4, 4), int(Part.RIGHT_RIB), dtype=torch.uint8)
    part[:3] = int(Part.LEFT_RIB)  # low numbers are left
    anatomy = Anatomy("ribs", torch.ones_like(part), (1.0, 1.0, 1.0), part)
    mirror = PlacementConfig(rotation=0, size=0, bend_mm=0, ripple_mm=0, mirror=1.01)
    for config in (STILL, mirror):
        generator = torch.Generator().manual_seed(0)
        _, found = place_parts(
            anatomy,
            (6, 4, 4),
            spacing=1.0,
            centre=torch.zeros(3),
            generator=generator,
            config=config,
        )
        assert found is not None
        assert torch.equal(found, part)
