"""Attenuation is that of the tables, and HU are exact at the energy they stand for."""

import math

import pytest
import torch

from medgen.phantom.attenuation import (
    CORTICAL_BONE,
    CT_KEV,
    ENERGIES,
    WATER,
    Spectrum,
    coefficient,
    densities,
    mono,
    transmission,
    tube,
)


def test_at_the_energies_of_a_table_its_values_are_met() -> None:
    for table in (WATER, CORTICAL_BONE):
        assert coefficient(table, torch.tensor(ENERGIES)).tolist() == pytest.approx(table, rel=1e-5)


def test_between_them_lies_a_power_law() -> None:
    middle = math.sqrt(20 * 30)
    found = coefficient(WATER, torch.tensor([middle])).item()
    assert found == pytest.approx(math.sqrt(0.8096 * 0.3756), rel=1e-5)


def test_water_and_air_are_themselves() -> None:
    assert densities(torch.tensor([0.0, -1000, -1024, -500])).tolist() == [
        [1, 0, 0, 0.5],
        [0, 0, 0, 0],
    ]


@pytest.mark.parametrize("hu", [-900, -100, 0, 55, 100, 101, 400, 1600, 3000])
def test_a_ct_would_measure_the_hu_again(hu: float) -> None:
    water, bone = densities(torch.tensor([float(hu)]))[:, 0].tolist()
    energy = torch.tensor([CT_KEV])
    mu = coefficient(WATER, energy).item()
    found = water * mu + bone * coefficient(CORTICAL_BONE, energy).item()
    assert 1000 * (found / mu - 1) == pytest.approx(hu, abs=0.05)


def test_solid_bone_is_as_dense_as_bone() -> None:
    """ICRU-44 gives cortical bone 1.92 g/cm³."""
    assert densities(torch.tensor([1600.0]))[:, 0].tolist() == pytest.approx([0, 1.92], abs=0.05)


def test_one_energy_is_an_exponential() -> None:
    mass = torch.tensor([[0.0, 10, 20], [0, 0, 3]])
    found = transmission(mass, mono(60)).tolist()
    assert found == pytest.approx([1, math.exp(-2.059), math.exp(-4.118 - 3 * 0.3148)], rel=1e-4)


def test_a_spectrum_is_the_mean_of_its_energies_and_hardens() -> None:
    soft, hard = mono(30), mono(100)
    both = Spectrum(torch.tensor([30.0, 100]), torch.tensor([0.25, 0.75]))
    mass = torch.tensor([[5.0, 10], [0, 0]])
    mean = 0.25 * transmission(mass, soft) + 0.75 * transmission(mass, hard)
    found = transmission(mass, both)
    assert torch.allclose(found, mean)
    first, second = -found.log()
    assert second < 2 * first  # twice the water takes less than twice as much away


def test_more_voltage_and_more_filter_make_a_harder_beam() -> None:
    def mean_energy(spectrum: Spectrum) -> float:
        return float((spectrum.energies * spectrum.weights).sum())

    assert float(tube(120, 3).weights.sum()) == pytest.approx(1, rel=1e-5)
    assert mean_energy(tube(80, 3)) < mean_energy(tube(120, 3)) < mean_energy(tube(120, 10))
    assert 45 < mean_energy(tube(120, 3)) < 70


@pytest.mark.parametrize("kilovolts", [10, 39, 151, float("nan")])
def test_voltages_outside_the_tables_are_refused(kilovolts: float) -> None:
    with pytest.raises(ValueError, match="40 to 150"):
        tube(kilovolts, 3)
