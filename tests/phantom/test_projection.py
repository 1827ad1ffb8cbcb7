"""Shadows have the lengths that geometry gives them."""

import math

import pytest
import torch

from medgen.phantom.projection import Beam, Detector, fitting_detector, project, seen_along

FAR = 1e7  # mm; from so far away the rays are parallel


def shadow(volume: torch.Tensor, beam: Beam, detector: Detector, spacing: float = 1.0):
    return project(volume, (spacing,) * 3, beam, detector)[0]


def test_a_box_under_parallel_rays_is_as_thick_as_it_is() -> None:
    volume = torch.zeros(20, 12, 12)
    volume[3:14, 4:8, 4:8] = 0.7
    found = shadow(volume, Beam("ap", FAR, 0), Detector(12, 12, 1.0))
    expected = torch.zeros(12, 12)
    expected[4:8, 4:8] = 11 * 0.7
    assert torch.allclose(found, expected, atol=1e-2)
    assert found[6, 6].item() == pytest.approx(7.7, rel=1e-5)


def test_a_ray_through_a_box_is_as_long_as_its_slant() -> None:
    """Every ray that enters and leaves by the faces along depth crosses thickness / cos."""
    volume = torch.ones(40, 200, 200)
    beam, detector = Beam("ap", 500, 20), Detector(61, 61, 2.0)
    found = shadow(volume, beam, detector)
    axis = (torch.arange(61) - 30) * 2.0
    slant = torch.sqrt(1 + (axis[:, None] ** 2 + axis**2) / 500**2)
    assert torch.allclose(found, 40 * slant, rtol=1e-5)


@pytest.mark.parametrize("source", [300.0, FAR])
def test_a_sphere_casts_the_chord_of_every_ray(source: float) -> None:
    """Within 1 % where the chord is longer than the radius; grazing rays, within two voxels."""
    size, radius, gap = 96, 30.0, 10.0
    axis = torch.arange(size) - (size - 1) / 2
    distance = torch.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    volume = (radius + 0.5 - distance).clamp(0, 1)
    beam, detector = Beam("ap", source, gap), Detector(81, 81, 1.5)
    found = shadow(volume, beam, detector)
    u = (torch.arange(81, dtype=torch.float64) - 40) * 1.5
    to_centre = source - gap - size / 2  # from the focus, along the central ray
    squared = u[:, None] ** 2 + u**2
    ray = squared + source**2
    closest = to_centre**2 * squared / ray  # squared distance of the ray from the centre
    chord = 2 * (radius**2 - closest).clamp(min=0).sqrt()
    long = chord > radius
    assert ((found - chord).abs()[long] / chord[long]).max() < 0.01
    assert (found - chord).abs()[chord > 10].max() < 2
    assert (found - chord).abs().mean() < 0.1
    assert math.isclose(found.sum(), chord.sum(), rel_tol=2e-3)


def test_what_is_farther_from_the_detector_looks_larger() -> None:
    near, far = torch.zeros(101, 41, 41), torch.zeros(101, 41, 41)
    near[0, 10:31, 10:31], far[100, 10:31, 10:31] = 1, 1
    beam, detector = Beam("ap", 400, 0), Detector(81, 81, 1.0)
    widths = [(shadow(v, beam, detector)[40] > 0.5).sum().item() for v in (near, far)]
    assert widths[0] == 21
    assert widths[1] == pytest.approx(21 * 400 / (400 - 100.5), abs=1)


def test_projection_is_linear_and_quantities_are_strangers() -> None:
    generator = torch.Generator().manual_seed(0)
    volume = torch.rand(40, 10, 11, generator=generator)
    beam, detector, spacing = Beam("pa", 200, 5), Detector(12, 14, 1.0), (2.0, 1.0, 1.5)
    plain = project(volume, spacing, beam, detector)[0]
    squared = project(volume**2, spacing, beam, detector)[0]
    both = project(
        volume, spacing, beam, detector, quantities=lambda v: torch.stack([3 * v + v**2, v**2])
    )
    assert torch.allclose(both, torch.stack([3 * plain + squared, squared]), rtol=1e-4)


def test_the_whole_shadow_falls_on_the_fitting_detector() -> None:
    volume = torch.ones(30, 40, 50)
    beam = Beam("ap", 300, 10)
    detector = fitting_detector((30, 40, 50), (1.0, 1.0, 1.0), beam, 1.0)
    found = shadow(volume, beam, detector)
    assert (detector.rows, detector.columns) == (46, 58)
    larger = Detector(detector.rows + 20, detector.columns + 20, 1.0)
    assert shadow(volume, beam, larger).sum().item() == pytest.approx(found.sum().item(), rel=0.01)


def test_a_tube_inside_the_volume_is_refused() -> None:
    with pytest.raises(ValueError, match="reaches the tube"):
        shadow(torch.ones(50, 4, 4), Beam("ap", 50, 10), Detector(4, 4, 1.0))


@pytest.mark.parametrize(
    ("view", "nearest", "top", "left"),
    [("pa", (0, 1, 0), 2, (1, 0, 0)), ("ap", (0, -1, 0), 2, (1, 0, 0)),
     ("lateral", (-1, 0, 0), 2, (0, 1, 0))],
)  # fmt: skip
def test_patients_are_seen_as_radiologists_see_them(
    view: str, nearest: tuple[int, ...], top: int, left: tuple[int, ...]
) -> None:
    """Right, anterior and superior are 1; a marker at each end shows up where it should."""
    shape = torch.tensor([5, 7, 9])

    def marker(direction: tuple[int, ...]) -> torch.Tensor:
        at = ((torch.tensor(direction) + 1) * (shape - 1) // 2).tolist()
        volume = torch.zeros(5, 7, 9)
        volume[*at] = 1
        return seen_along(volume, (2.0, 3.0, 4.0), view)[0].nonzero()[0]

    assert marker(nearest)[0] == 0
    assert marker((0, 0, 1))[1] == 0
    assert marker(left)[2] == 0
    spacing = seen_along(torch.zeros(5, 7, 9), (2.0, 3.0, 4.0), view)[1]
    assert spacing == ((2, 4, 3) if view == "lateral" else (3, 4, 2))
