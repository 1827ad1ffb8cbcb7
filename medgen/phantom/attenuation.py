"""How much X-ray a body takes away: a tube's spectrum, water and bone."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

# Photon energies, keV, and mass attenuation coefficients with coherent scattering, cm²/g:
# Hubbell & Seltzer 2004, NIST Standard Reference Database 126, water, ICRU-44 cortical bone, Al.
ENERGIES = (20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0)
WATER = (0.8096, 0.3756, 0.2683, 0.2269, 0.2059, 0.1837, 0.1707, 0.1505)
CORTICAL_BONE = (4.001, 1.331, 0.6655, 0.4242, 0.3148, 0.2229, 0.1855, 0.1480)
ALUMINIUM = (3.441, 1.128, 0.5685, 0.3681, 0.2778, 0.2018, 0.1704, 0.1378)
ALUMINIUM_DENSITY = 2.699  # g/cm³

CT_KEV = 70.0  # the single energy that stands for a CT's spectrum: 120 kVp, after the patient
SOFT_HU = 100.0  # tissue up to here is water of another density; above, bone is mixed in
BONE_HU = 1600.0  # of solid cortical bone
BONE_SOFT_DENSITY = 1 + SOFT_HU / 1000  # g/cm³ of what is between the bone


@dataclass(frozen=True)
class Spectrum:
    """What leaves a tube and is seen by a detector.

    Attributes:
        energies: Photon energies, keV.
        weights: Share of the open beam's signal that each energy gives; their sum is 1.
    """

    energies: Float[Tensor, "energies"]
    weights: Float[Tensor, "energies"]


def mono(energy: float) -> Spectrum:
    """A beam of one energy, keV."""
    return Spectrum(torch.tensor([float(energy)]), torch.ones(1))


def tube(kilovolts: float, aluminium_mm: float) -> Spectrum:
    """A tungsten tube's continuous spectrum behind a filter, seen by a detector of energy.

    Source: Kramers 1923, photons in proportion to (kV / keV - 1) (10.1080/14786442308565244).

    Args:
        kilovolts: Peak voltage, 40 to 150.
        aluminium_mm: Total filtration.

    Raises:
        ValueError: If the voltage lies outside the tables.
    """
    if not 40 <= kilovolts <= ENERGIES[-1]:
        raise ValueError(f"a tube of {kilovolts:g} kV; the tables are for 40 to 150")
    energies = torch.arange(ENERGIES[0], kilovolts, 5.0)
    depth = ALUMINIUM_DENSITY * aluminium_mm / 10
    signal = (kilovolts - energies) * torch.exp(-coefficient(ALUMINIUM, energies) * depth)
    return Spectrum(energies, signal / signal.sum())


def coefficient(
    table: tuple[float, ...], energies: Float[Tensor, "energies"]
) -> Float[Tensor, "energies"]:
    """A mass attenuation coefficient between the energies of its table, cm²/g.

    Interpolated as the curves are drawn: a straight line between the logarithms.
    """
    known = torch.tensor(ENERGIES).log()
    values = torch.tensor(table).log()
    wanted = energies.log()
    right = torch.searchsorted(known, wanted).clamp(1, len(known) - 1)
    share = (wanted - known[right - 1]) / (known[right] - known[right - 1])
    return torch.lerp(values[right - 1], values[right], share).exp()


def densities(hu: Float[Tensor, "*space"]) -> Float[Tensor, "2 *space"]:
    """Water and cortical bone in every voxel, g/cm³, that together have its HU at `CT_KEV`.

    Up to 100 HU everything is water, thinner or denser. From there to 1600 HU the share of bone
    in the volume rises from nothing to everything; what is denser still counts as dense bone.
    """
    water_like = (1 + hu / 1000).clamp(min=0)
    bone_volume = ((hu - SOFT_HU) / (BONE_HU - SOFT_HU)).clamp(0, 1)
    water = torch.where(hu > SOFT_HU, BONE_SOFT_DENSITY * (1 - bone_volume), water_like)
    reference = torch.tensor([CT_KEV])
    ratio = coefficient(WATER, reference) / coefficient(CORTICAL_BONE, reference)
    return torch.stack([water, (water_like - water) * ratio])


def transmission(mass: Float[Tensor, "2 *pixels"], spectrum: Spectrum) -> Float[Tensor, "*pixels"]:
    """Share of the open beam's signal that arrives behind so much water and bone, g/cm².

    Source: the law of Beer and Lambert, summed over the spectrum.
    """
    water = coefficient(WATER, spectrum.energies).to(mass)
    bone = coefficient(CORTICAL_BONE, spectrum.energies).to(mass)
    total = torch.zeros_like(mass[0])
    for weight, of_water, of_bone in zip(spectrum.weights.to(mass), water, bone, strict=True):
        total += weight * torch.exp(-of_water * mass[0] - of_bone * mass[1])
    return total
