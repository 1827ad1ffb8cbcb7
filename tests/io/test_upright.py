"""Turned upright, every voxel is still where it was."""

from itertools import permutations, product

import numpy as np
import pytest

from medgen.io.geometry import Geometry
from medgen.io.upright import upright

STEPS = (2.0, 3.0, 5.0)  # along right, anterior, superior, mm


@pytest.mark.parametrize("axes", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_voxels_that_hold_their_place_come_out_in_order(
    axes: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = 0
    for voxel, (world, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[world, voxel] = sign * STEPS[world]
    index = np.indices((3, 4, 5)).reshape(3, -1)
    world_mm = affine[:3, :3] @ index
    for world in range(3):
        turned, spacing = upright(world_mm[world].reshape(3, 4, 5), Geometry(affine))
        assert spacing == STEPS
        assert (np.diff(turned, axis=world) == STEPS[world]).all()
        assert all((np.diff(turned, axis=other) == 0).all() for other in {0, 1, 2} - {world})
