"""Blurring neither makes nor loses signal, and is as wide as it says."""

import pytest
import torch

from medgen.phantom.resolution import blur, gaussian_kernel, spilled, thick_slices


def impulse(size: int = 33) -> torch.Tensor:
    volume = torch.zeros(1, size, size, size)
    volume[0, size // 2, size // 2, size // 2] = 1
    return volume


def width_at_half(profile: torch.Tensor) -> float:
    """Where a single peak crosses half of its height, interpolated."""
    half, peak = profile.max() / 2, int(profile.argmax())
    right = next(i for i in range(peak, len(profile)) if profile[i] < half)
    inner, outer = profile[right - 1], profile[right]
    return 2 * (right - 1 - peak + ((inner - half) / (inner - outer)).item())


@pytest.mark.parametrize("fwhm", [0.8, 1.0, 2.5, 5.0])
def test_the_kernel_sums_to_one(fwhm: float) -> None:
    kernel = gaussian_kernel(fwhm)
    assert kernel.sum().item() == pytest.approx(1, abs=1e-6)
    assert torch.equal(kernel, kernel.flip(0))


def test_blur_conserves_the_sum() -> None:
    assert blur(impulse(), (2.0, 3.0, 4.0)).sum().item() == pytest.approx(1, abs=1e-5)


def test_an_impulse_becomes_as_wide_as_asked() -> None:
    blurred = blur(impulse(), (4.0, 6.0, 8.0))[0]
    profiles = blurred[:, 16, 16], blurred[16, :, 16], blurred[16, 16, :]
    for profile, fwhm in zip(profiles, (4.0, 6.0, 8.0), strict=True):
        assert width_at_half(profile) == pytest.approx(fwhm, rel=0.02)


def test_no_width_leaves_the_volume() -> None:
    volume = torch.rand(1, 5, 6, 7)
    assert torch.equal(blur(volume, (0.0, 0.1, 0.29)), volume)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("thickness", [1.0, 2.0, 3.7, 5.0])
def test_constants_stay_under_thick_slices(axis: int, thickness: float) -> None:
    volume = torch.full((1, 20, 21, 22), 3.25)
    assert torch.allclose(thick_slices(volume, thickness, axis), volume)


def test_thick_slices_lose_detail_along_one_axis_only() -> None:
    generator = torch.Generator().manual_seed(0)
    volume = torch.rand(1, 24, 24, 24, generator=generator)
    thick = thick_slices(volume, 4, 2)
    assert thick.diff(dim=3).std() < 0.3 * volume.diff(dim=3).std()
    flat = torch.rand(1, 24, 24, 1, generator=generator).expand(1, 24, 24, 24)
    assert torch.allclose(thick_slices(flat, 4, 2), flat)


def test_what_spills_is_kept_and_lies_around_where_it_came_from() -> None:
    volume = torch.zeros(1, 40, 40, 40)
    volume[:, 14:17, 20:24, 20:24] = 5
    spread = spilled(volume, 0.2, 10)
    assert spread.sum().item() == pytest.approx(volume.sum().item(), rel=1e-5)
    assert spread[0, 15, 22, 22].item() == pytest.approx(0.8 * 5, rel=0.05)
    beside, far = spread[0, 10, 22, 22], spread[0, 38, 22, 22]
    assert beside > 0.01
    assert far == 0


def test_where_all_is_alike_spilling_changes_nothing() -> None:
    volume = torch.full((1, 20, 7, 33), 3.25)
    torch.testing.assert_close(spilled(volume, 0.25, 10), volume)
    assert torch.equal(spilled(volume, 0.0, 10), volume)
