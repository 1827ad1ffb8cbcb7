"""A sphere of bone with a round hole at its top is closed as far as the hole's cone leaves it."""

import numpy as np
import pytest

from benchmarks.skull import brain_centre, closed_share, upper_hemisphere
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import Kind, Modality

SIZE = 96
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])  # mm
AFFINE[:3, 3] = [-95, -80, 30]  # the middle of the grid is elsewhere
MIDDLE = AFFINE[:3, :3] @ np.full(3, (SIZE - 1) / 2) + AFFINE[:3, 3]


def sphere(cosine_of_hole: float) -> np.ndarray:
    """Bone from 60 to 72 mm around the middle, but not where the direction is too steep."""
    offsets = 2.0 * (np.indices((SIZE,) * 3) - (SIZE - 1) / 2)
    radius = np.sqrt((offsets**2).sum(0))
    steep = offsets[2] > cosine_of_hole * radius
    return np.where((radius > 60) & (radius < 72) & ~steep, 1000.0, 40.0)


def test_a_whole_sphere_is_closed() -> None:
    assert closed_share(sphere(2.0), Geometry(AFFINE), MIDDLE) == 1


@pytest.mark.parametrize("cosine", [0.5, 0.8, 0.95])
def test_the_open_share_is_one_less_the_cosine(cosine: float) -> None:
    # A cap of half angle a has the share 1 - cos a of a hemisphere (Archimedes).
    share = closed_share(sphere(cosine), Geometry(AFFINE), MIDDLE)
    assert share == pytest.approx(cosine, abs=0.02)  # voxels of 2 mm at 60 mm


def test_rays_share_the_hemisphere_evenly() -> None:
    rays = upper_hemisphere(4000)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1)
    assert (rays[:, 2] > 0.25).mean() == 0.75
    np.testing.assert_allclose(rays[:, :2].mean(0), 0, atol=2e-3)


def test_a_brain_is_in_the_middle_of_the_head_and_below_its_vertex() -> None:
    offsets = 2.0 * (np.indices((SIZE,) * 3) - (SIZE - 1) / 2)
    head = np.where((offsets**2).sum(0) < 80**2, 100.0, 0.0)
    image = MedicalImage(head.astype(np.float32), Geometry(AFFINE), Kind(Modality.MRI))
    np.testing.assert_allclose(brain_centre(image), MIDDLE + np.array([0, 0, 5]), atol=2)
