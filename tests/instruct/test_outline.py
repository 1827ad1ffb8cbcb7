"""Edges lie where grey levels change, whatever their gain; a region that is out shows nothing."""

import torch

from medgen.instruct.outline import drawn_edges, drawn_labels, without_region


def step(axes: int) -> torch.Tensor:
    image = -torch.ones(1, *[12] * axes)
    image[:, 6:] = 1
    return image


def test_a_step_has_its_edge_at_the_step() -> None:
    for axes in (2, 3):
        edges = drawn_edges(step(axes))
        assert (edges[:, 5:7] == 1).all()
        assert (edges[:, :4] == -1).all()
        assert (edges[:, 8:] == -1).all()


def test_gain_and_offset_do_not_count() -> None:
    image = torch.randn(1, 16, 16)
    torch.testing.assert_close(drawn_edges(0.3 * image + 0.2), drawn_edges(image))


def test_a_plain_image_has_no_edges() -> None:
    assert drawn_edges(torch.full((1, 8, 8), 0.4)).max() < -0.999


def test_labels_are_evenly_spread_greys() -> None:
    drawn = drawn_labels(torch.tensor([[0, 1], [2, 4]]), 4)
    assert drawn.tolist() == [[[-1.0, -0.5], [0.0, 1.0]]]


def test_a_region_that_is_out_tells_nothing() -> None:
    one, other = torch.randn(2, 1, 4, 4)
    region = torch.zeros(4, 4, dtype=torch.bool)
    region[1:3] = True
    mixed = torch.where(region, other, one)
    assert torch.equal(without_region(one, region), without_region(mixed, region))
    assert torch.equal(without_region(one, region)[0, 0], one[0, 0])
