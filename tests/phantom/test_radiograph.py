"""A radiograph of water shows what the law of Beer and Lambert says, plus its blemishes."""

import math
from dataclasses import replace

import pytest
import torch

from medgen.phantom.attenuation import mono
from medgen.phantom.radiograph import (
    Display,
    Exposure,
    blurred,
    displayed,
    forward_scatter,
    structure,
    take,
)

CLEAN = Exposure(scatter=0, photons=None, source_mm=1e6, gap_mm=0)
SPACING = (2.0, 2.0, 2.0)


def water_box() -> torch.Tensor:
    """100 mm of water from front to back, in air."""
    hu = torch.full((40, 60, 30), -1000.0)
    hu[10:30, 5:55, 5:25] = 0
    return hu


def test_a_clean_exposure_of_one_energy_is_an_exponential() -> None:
    signal = take(water_box(), SPACING, CLEAN, spectrum=mono(60))
    assert signal.max().item() == pytest.approx(1)
    middle = signal[30 - 5 : 30 + 5, 40 - 5 : 40 + 5]
    assert middle.tolist() == [[pytest.approx(math.exp(-10 * 0.2059), rel=1e-3)] * 10] * 10


def test_air_around_a_patient_lets_everything_through() -> None:
    assert torch.allclose(take(torch.full((9, 9, 9), -1000.0), SPACING, CLEAN), torch.ones(18, 18))


def test_noise_is_that_of_the_counted_photons() -> None:
    exposure = replace(CLEAN, photons=1000)
    noisy = take(
        torch.full((90, 9, 90), -1000.0),
        SPACING,
        exposure,
        generator=torch.Generator().manual_seed(0),
    )
    assert noisy.mean().item() == pytest.approx(1, abs=1e-3)
    assert noisy.std().item() == pytest.approx(1000**-0.5, rel=0.03)


def test_noise_needs_a_generator_and_repeats_with_it() -> None:
    with pytest.raises(ValueError, match="generator"):
        take(water_box(), SPACING, Exposure())
    one, again = (
        take(water_box(), SPACING, Exposure(), generator=torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    assert torch.equal(one, again)


def test_scatter_adds_light_and_most_behind_the_thick() -> None:
    clean = take(water_box(), SPACING, CLEAN)
    veiled = take(water_box(), SPACING, replace(CLEAN, scatter=0.3))
    share = (veiled - clean) / clean
    assert (veiled >= clean).all()
    assert share[30, 40] > 3 * share[2, 2]


def test_nothing_scatters_where_nothing_is_absorbed() -> None:
    assert forward_scatter(torch.ones(20, 20), 5).abs().max() == 0


@pytest.mark.parametrize("width", [0.0, 1.5, 4.0])
def test_a_blur_keeps_the_sum_and_has_its_width(width: float) -> None:
    point = torch.zeros(61, 61)
    point[30, 30] = 1
    found = blurred(point, width)
    axis = torch.arange(61) - 30.0
    assert found.sum().item() == pytest.approx(1, abs=1e-4)
    assert (found.sum(0) * axis**2).sum().sqrt().item() == pytest.approx(width, rel=0.02)


def test_the_display_is_bright_where_little_arrives_and_forgets_the_dose() -> None:
    signal = take(water_box(), SPACING, CLEAN)
    shown = displayed(signal)
    assert shown.min() >= 0
    assert shown.max() <= 1
    assert shown[30, 40] > 0.5 > shown[0, 0]
    order = signal.flatten().argsort()
    assert (shown.flatten()[order].diff() <= 1e-6).all()


def test_an_empty_field_is_dark() -> None:
    assert displayed(torch.ones(8, 8)).max() <= 0.5


def test_structure_has_unit_variance_and_its_own_length() -> None:
    """The power peaks near the frequency it is made for, whatever the pixel."""
    for pixel in (1.0, 2.0):
        shadows = structure((256, 256), pixel, torch.Generator().manual_seed(0))
        assert float(shadows.std()) == pytest.approx(1, abs=1e-4)
        assert float(shadows.mean()) == pytest.approx(0, abs=1e-5)
        power = torch.fft.rfft2(shadows).abs().square()
        frequency = torch.hypot(
            torch.fft.fftfreq(256, pixel)[:, None], torch.fft.rfftfreq(256, pixel)
        )
        bands = [(0.0, 0.01), (0.06, 0.1), (0.2, 0.25)]  # cycles per mm
        low, peak, high = (
            float(power[(frequency >= a) & (frequency < b)].mean()) for a, b in bands
        )
        assert peak > 5 * low
        assert peak > 1.5 * high


def test_structure_changes_the_logarithm_by_its_share() -> None:
    hu = torch.zeros(60, 60, 60)
    plain = take(hu, (2.0,) * 3, CLEAN)
    grained = take(
        hu, (2.0,) * 3, replace(CLEAN, structure=0.02), generator=torch.Generator().manual_seed(1)
    )
    change = (grained / plain).log()
    assert float(change.std()) == pytest.approx(0.02, rel=0.01)


def test_a_random_structure_needs_a_generator() -> None:
    with pytest.raises(ValueError, match="generator"):
        take(torch.zeros(4, 4, 4), (2.0,) * 3, replace(CLEAN, structure=0.1))


def test_edges_overshoot_where_they_are_enhanced_and_flat_parts_stay() -> None:
    signal = torch.full((40, 80), 0.5)
    signal[:, 40:] = 0.1
    plain = displayed(signal)
    sharp = displayed(signal, Display(edge=1.0, edge_mm=2.0))
    assert sharp[20, 40] > plain[20, 40] + 0.02
    assert sharp[20, 39] < plain[20, 39] - 0.02
    assert torch.allclose(sharp[20, :20], plain[20, :20], atol=0.05)
