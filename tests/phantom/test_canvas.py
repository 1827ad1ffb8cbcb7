"""Shapes on a canvas have the size in mm that they were given, at any spacing."""

import math

import pytest
import torch

from medgen.phantom.canvas import Canvas, ellipsoid, segment, smooth_min
from medgen.phantom.tissue import Tissue


@pytest.mark.parametrize("spacing", [0.5, 1.0, 1.7])
def test_an_ellipsoid_has_its_volume(spacing: float) -> None:
    size = round(50 / spacing)
    canvas = Canvas.empty((size,) * 3, spacing, (3.0, -2.0, 1.0))
    canvas.paint_ellipsoid((3, -2, 1), (10, 15, 20), Tissue.CSF)
    volume = int(canvas.tissue.count_nonzero()) * spacing**3
    assert volume == pytest.approx(4 / 3 * math.pi * 10 * 15 * 20, rel=0.02)


def test_a_tube_has_its_volume() -> None:
    canvas = Canvas.empty((60, 60, 60), 1.0, (0.0, 0.0, 0.0))
    canvas.paint_path(((0, 0, -15), (0, 0, 15)), 8, Tissue.CSF)
    wanted = math.pi * 8**2 * 30 + 4 / 3 * math.pi * 8**3
    assert int(canvas.tissue.count_nonzero()) == pytest.approx(wanted, rel=0.035)


def test_a_box_takes_every_voxel_of_its_shape() -> None:
    """What the bounding box paints is what the whole grid would."""
    canvas = Canvas.empty((31, 32, 33), 1.3, (0.0, 0.0, 0.0))
    canvas.paint_path(((-9, 3, 2), (7, -8, 11)), 5, Tissue.CSF, end=2)
    whole = segment(*canvas.axes, (-9, 3, 2), (7, -8, 11), 5, 2) < 0
    assert torch.equal(canvas.tissue > 0, whole)


def test_shapes_beyond_the_grid_are_left_out() -> None:
    canvas = Canvas.empty((10, 10, 10), 1.0, (0.0, 0.0, 0.0))
    canvas.paint_ellipsoid((100, 0, 0), (5, 5, 5), Tissue.CSF)
    assert not canvas.tissue.any()


def test_only_the_named_tissues_are_replaced() -> None:
    canvas = Canvas.empty((20, 20, 20), 1.0, (0.0, 0.0, 0.0))
    canvas.paint_ellipsoid((0, 0, 0), (5, 5, 5), Tissue.SOFT)
    canvas.paint_ellipsoid((0, 0, 0), (8, 8, 8), Tissue.CSF, over=(Tissue.SOFT,))
    assert set(canvas.tissue.unique().tolist()) == {0, int(Tissue.CSF)}
    assert canvas.tissue[10, 10, 3] == 0


def test_a_part_paints_the_whole() -> None:
    canvas = Canvas.empty((20, 20, 20), 1.0, (0.0, 0.0, 0.0))
    part, box = canvas.part((-100, -100, -100), (100, 100, -4))
    part.paint(torch.tensor(True), Tissue.CSF)
    assert torch.all(canvas.tissue[box] == int(Tissue.CSF))
    assert canvas.tissue[0, 0, 10] == 0


def test_distance_is_true_near_the_surface() -> None:
    x = torch.tensor([9.0, 10.0, 11.0])[:, None, None]
    zero = torch.zeros(1, 1, 1)
    distance = ellipsoid(x, zero, zero, (0, 0, 0), (10, 20, 30)).flatten()
    assert distance.tolist() == pytest.approx([-0.9, 0, 1.1], abs=0.21)


def test_smooth_min_is_the_minimum_away_from_the_seam() -> None:
    first, second = torch.tensor([0.0, 5.0, 2.0]), torch.tensor([9.0, -4.0, 2.0])
    assert smooth_min(first, second, 3).tolist() == pytest.approx([0, -4, 2 - 0.75])
