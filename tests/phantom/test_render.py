"""A scanner's image has the values that the tissue table and the noise theory say."""

import math
import time
from dataclasses import replace

import pytest
import torch
from torch import Generator

from medgen.modality import Contrast
from medgen.phantom.anatomy import Anatomy
from medgen.phantom.placement import PlacementConfig, place
from medgen.phantom.protocol import TYPICAL, Protocol, Readout, Relaxation
from medgen.phantom.render import (
    Body,
    CTScan,
    MRIScan,
    embody,
    percentile,
    render_ct,
    render_mri,
    rician,
    with_yellow_marrow,
)
from medgen.phantom.tissue import FACTS, Tissue, column

CLEAN = CTScan(noise_hu=0)
HALVES = (Tissue.AIR, Tissue.CORTICAL_BONE)


def two_halves(left: Tissue, right: Tissue, size: int = 32) -> Body:
    tissue = torch.full((size,) * 3, int(left), dtype=torch.uint8)
    tissue[size // 2 :] = int(right)
    return Body(tissue, torch.zeros(size, size, size), torch.zeros(size, size, size), 1.0)


@pytest.mark.parametrize(
    "tissue", [Tissue.WHITE_MATTER, Tissue.CSF, Tissue.CORTICAL_BONE, Tissue.AIR, Tissue.FAT]
)
def test_ct_numbers_are_the_tables(tissue: Tissue) -> None:
    """Over many patients the mean is the table's, within the spread between patients."""
    facts, found = FACTS[tissue], []
    for seed in range(24):
        body = two_halves(tissue, tissue, 12)
        found.append(render_ct(body, CLEAN, generator=Generator().manual_seed(seed)).mean().item())
    error = facts.hu_between / math.sqrt(len(found))
    assert sum(found) / len(found) == pytest.approx(facts.hu, abs=4 * error + 0.01)


def test_texture_is_as_strong_as_the_table_says() -> None:
    tissue = torch.full((40, 40, 40), int(Tissue.CORTICAL_BONE))
    texture = torch.randn(40, 40, 40, generator=Generator().manual_seed(0))
    body = Body(tissue, torch.zeros(40, 40, 40), texture, 1.0)
    hu = render_ct(body, CTScan(fwhm_mm=0, noise_hu=0), generator=Generator().manual_seed(0))
    assert hu.std().item() == pytest.approx(FACTS[Tissue.CORTICAL_BONE].hu_texture, rel=0.03)


def test_noise_is_as_strong_as_asked() -> None:
    body = two_halves(Tissue.WHITE_MATTER, Tissue.WHITE_MATTER)
    hu = render_ct(body, CTScan(noise_hu=15), generator=Generator().manual_seed(0))
    assert hu.std().item() == pytest.approx(15, rel=0.03)


@pytest.mark.parametrize("fwhm", [0.0, 1.0, 3.0])
def test_partial_volume_leaves_the_edge_where_it_was(fwhm: float) -> None:
    """Halfway between two tissues lies on their border, between voxels 15 and 16."""
    hu = render_ct(two_halves(*HALVES), CTScan(fwhm, 0), generator=Generator().manual_seed(3))
    profile = hu[:, 16, 16]
    low, high = profile[0], profile[-1]
    half = (low + high) / 2
    assert profile[15] <= half <= profile[16]
    crossing = 15 + ((half - profile[15]) / (profile[16] - profile[15])).item()
    assert crossing == pytest.approx(15.5, abs=0.01)


def test_mixtures_lie_between_their_tissue_and_fat() -> None:
    tissue = torch.full((30, 30, 30), int(Tissue.SOFT))
    body = embody(tissue, spacing=1.0, generator=Generator().manual_seed(1))
    assert body.fat.min() >= 0
    assert body.fat.max() <= 1
    still = Body(tissue, body.fat, torch.zeros(30, 30, 30), 1.0)
    hu = render_ct(still, CTScan(0, 0), generator=Generator().manual_seed(1))
    fatter = body.fat.flatten().argsort()
    assert torch.all(hu.flatten()[fatter].diff() <= 1e-3)


def test_air_of_a_magnitude_image_has_the_rayleigh_mean() -> None:
    """sqrt(pi/2) sigma. Source: Gudbjartsson & Patz 1995, eq. 4 (10.1002/mrm.1910340618)."""
    air = rician(torch.zeros(60, 60, 60), 0.03, Generator().manual_seed(0))
    assert air.mean().item() == pytest.approx(math.sqrt(math.pi / 2) * 0.03, rel=0.01)
    assert air.std().item() == pytest.approx(math.sqrt(2 - math.pi / 2) * 0.03, rel=0.02)


def test_bright_signal_has_gaussian_noise() -> None:
    bright = rician(torch.ones(40, 40, 40), 0.03, Generator().manual_seed(0))
    assert bright.mean().item() == pytest.approx(math.sqrt(1 + 0.03**2), abs=1e-3)
    assert bright.std().item() == pytest.approx(0.03, rel=0.03)


def test_mri_is_scaled_to_its_99th_percentile() -> None:
    body = two_halves(Tissue.GREY_MATTER, Tissue.WHITE_MATTER)
    scan = MRIScan(TYPICAL[Contrast.T1], noise=0, bias=0)
    image = render_mri(
        body, scan, tissue=Relaxation.textbook(), generator=Generator().manual_seed(0)
    )
    assert percentile(image, 0.99) == pytest.approx(1, abs=1e-3)


def test_mri_shows_the_ratio_of_the_signals() -> None:
    """Far from the border, without bias and noise."""
    body = two_halves(Tissue.GREY_MATTER, Tissue.WHITE_MATTER)
    scan = MRIScan(TYPICAL[Contrast.T2], noise=0, bias=0)
    image = render_mri(
        body, scan, tissue=Relaxation.textbook(), generator=Generator().manual_seed(0)
    )
    signal = scan.protocol.signal(Relaxation.textbook())
    wanted = (signal[Tissue.GREY_MATTER] / signal[Tissue.WHITE_MATTER]).item()
    assert (image[2, 16, 16] / image[-3, 16, 16]).item() == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(("spill", "least", "most"), [(0.0, 0.0, 0.01), (0.2, 0.04, 0.12)])
def test_bone_is_as_bright_as_what_spills_into_it(spill: float, least: float, most: float) -> None:
    """Four millimetres into it, half of what is a centimetre around is brain."""
    body = two_halves(Tissue.CORTICAL_BONE, Tissue.WHITE_MATTER)
    scan = MRIScan(TYPICAL[Contrast.T1], noise=0, bias=0, spill=spill)
    image = render_mri(
        body, scan, tissue=Relaxation.textbook(), generator=Generator().manual_seed(0)
    )
    middle = len(image) // 2
    assert least <= image[middle - 4].mean() <= most


def test_nothing_spills_into_air() -> None:
    body = two_halves(Tissue.AIR, Tissue.WHITE_MATTER)
    scan = MRIScan(TYPICAL[Contrast.T1], noise=0, bias=0, spill=0.2)
    image = render_mri(
        body, scan, tissue=Relaxation.textbook(), generator=Generator().manual_seed(0)
    )
    assert image[: len(image) // 2 - 3].abs().max() < 1e-6


def test_fat_saturation_darkens_fat_alone() -> None:
    body = two_halves(Tissue.FAT, Tissue.WHITE_MATTER)
    relaxation, protocol = Relaxation.textbook(), TYPICAL[Contrast.PD]
    dark = type(protocol)(protocol.readout, 3000, 15, fat_share=0.1)
    ratios = []
    for each in (protocol, dark):
        image = render_mri(
            body,
            MRIScan(each, noise=0, bias=0),
            tissue=relaxation,
            generator=Generator().manual_seed(0),
        )
        ratios.append((image[2, 16, 16] / image[-3, 16, 16]).item())
    assert ratios[1] == pytest.approx(0.1 * ratios[0], rel=1e-3)


def test_yellow_marrow_shines_between_red_marrow_and_fat() -> None:
    """As the compartments' shares say; with saturation fat in the marrow is dark as well."""
    relaxation = Relaxation.textbook()
    protocol = Protocol(Readout.SPIN_ECHO, 550, 12)

    def marrow(share: float, fat_share: float = 1.0) -> float:
        body = two_halves(Tissue.SPONGY_BONE, Tissue.WHITE_MATTER)
        body = replace(body, yellow=torch.full(body.tissue.shape, share))
        scan = MRIScan(replace(protocol, fat_share=fat_share), noise=0, bias=0)
        image = render_mri(body, scan, tissue=relaxation, generator=Generator().manual_seed(0))
        return (image[2, 16, 16] / image[-3, 16, 16]).item()

    signal = protocol.signal(relaxation)
    red, fat = (
        (signal[tissue] / signal[Tissue.WHITE_MATTER]).item()
        for tissue in (Tissue.SPONGY_BONE, Tissue.FAT)
    )
    assert marrow(0.0) == pytest.approx(red, rel=1e-3)
    assert marrow(0.3) == pytest.approx(0.7 * red + 0.3 * fat, rel=1e-3)
    assert marrow(1.0) == pytest.approx(fat, rel=1e-3)
    assert marrow(1.0, fat_share=0.2) == pytest.approx(0.2 * fat, rel=1e-3)


def test_marrow_differs_within_a_patient_as_in_real_spongy_bone_and_between_patients() -> None:
    """Of 11 patients the quartiles were .11 to .65 of fat's signal apart; red is .5 below it."""
    body = two_halves(Tissue.SPONGY_BONE, Tissue.SPONGY_BONE, size=96)
    many = [with_yellow_marrow(body, Generator().manual_seed(seed)).yellow for seed in range(24)]
    quartiles = torch.stack(
        [
            one.flatten()[::7].quantile(torch.tensor([0.25, 0.5, 0.75]))
            for one in many
            if one is not None
        ]
    )
    apart = quartiles[:, 2] - quartiles[:, 0]
    assert 0.2 < apart.median() < 0.6
    assert quartiles[:, 1].min() < 0.2
    assert quartiles[:, 1].max() > 0.8


def test_two_studies_of_96_voxels_cubed_take_a_second() -> None:
    """The promise is 2 a second on two cores; this asks for 1 in the processor time of one."""
    generator = Generator().manual_seed(0)
    tissue = torch.randint(0, len(Tissue), (60, 60, 60), generator=generator).to(torch.uint8)
    anatomy = Anatomy("noise", tissue, (2.0, 2.0, 2.0))
    assert len(column("hu")) == len(Tissue)
    took = []
    for _ in range(4):
        start = time.process_time()
        placed = place(
            anatomy,
            (96, 96, 96),
            spacing=1.0,
            centre=torch.zeros(3),
            generator=generator,
            config=PlacementConfig(),
        )
        body = embody(placed, spacing=1.0, generator=generator)
        render_ct(body, CTScan(), generator=generator)
        scan = MRIScan(TYPICAL[Contrast.T1])
        render_mri(body, scan, tissue=Relaxation.textbook(), generator=generator)
        took.append(time.process_time() - start)
        if took[-1] < 1.0:
            return
    pytest.fail(f"{took}")
