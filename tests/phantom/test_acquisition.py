"""An image on a scanner's own grid shows each tissue at the millimetres where it is."""

import numpy as np
import pytest
import torch
from torch import Generator

from medgen.modality import Contrast
from medgen.phantom.acquisition import (
    Averaging,
    acquire_ct,
    acquire_mri,
    average,
    averaged_geometry,
    turned_to_lps,
)
from medgen.phantom.anatomy import geometry_of
from medgen.phantom.protocol import TYPICAL, Relaxation
from medgen.phantom.render import Body, CTScan, MRIScan
from medgen.phantom.tissue import Tissue

SHAPE = (24, 30, 36)
GEOMETRY = geometry_of(SHAPE, 1.0)


def body() -> Body:
    """White matter with a block of bone, away from the middle, 10 x 10 x 10 mm."""
    tissue = torch.full(SHAPE, int(Tissue.WHITE_MATTER), dtype=torch.uint8)
    tissue[10:20, 10:20, 20:30] = int(Tissue.CORTICAL_BONE)
    zero = torch.zeros(SHAPE)
    return Body(tissue, zero, zero, 1.0)


def centroid(image: object, above: float) -> np.ndarray:
    index = np.argwhere(image.voxels > above).mean(0)
    return image.geometry.affine[:3, :3] @ index + image.geometry.affine[:3, 3]


WHERE = GEOMETRY.affine[:3, :3] @ [14.5, 14.5, 24.5] + GEOMETRY.affine[:3, 3]


@pytest.mark.parametrize("slices", [0, 1, 2])
@pytest.mark.parametrize("factors", [(1, 1, 1), (2, 2, 2), (1, 2, 5), (5, 1, 2)])
def test_the_block_stays_where_it_is(factors: tuple[int, int, int], slices: int) -> None:
    averaging = Averaging(factors, slices)
    generator = Generator().manual_seed(0)
    image = acquire_ct(body(), GEOMETRY, CTScan(1.0, 0), averaging, generator=generator)
    assert np.allclose(centroid(image, 600), WHERE, atol=0.05)
    assert image.geometry.axes[2][0] == slices


def test_slices_are_last_and_as_thick_as_asked() -> None:
    scan, averaging = MRIScan(TYPICAL[Contrast.T2]), Averaging((5, 1, 1), 0)
    image = acquire_mri(
        body(),
        GEOMETRY,
        scan,
        averaging,
        contrast=Contrast.T2,
        tissue=Relaxation.textbook(),
        generator=Generator().manual_seed(0),
    )
    assert image.voxels.shape == (30, 36, 4)
    assert image.geometry.spacing == pytest.approx((1, 1, 5))
    assert str(image.kind) == "mri:t2"


def test_mri_is_stored_as_twelve_bit_numbers() -> None:
    image = acquire_mri(
        body(),
        GEOMETRY,
        MRIScan(TYPICAL[Contrast.T1], noise=0.02, bias=0),
        Averaging(),
        contrast=Contrast.T1,
        tissue=Relaxation.textbook(),
        generator=Generator().manual_seed(0),
    )
    assert np.array_equal(image.voxels, np.rint(image.voxels))
    assert 0 <= image.voxels.min() <= image.voxels.max() <= 4095
    assert np.median(image.voxels) == pytest.approx(1000, rel=0.05)


def test_noise_is_of_the_voxels_that_are_written() -> None:
    """Averaging comes before the noise, so thick voxels are as noisy as was asked."""
    water = Body(torch.full((40, 40, 40), 6), torch.zeros(40, 40, 40), torch.zeros(40, 40, 40), 1.0)
    scan, averaging = CTScan(1.0, 15), Averaging((2, 2, 2))
    geometry = geometry_of((40, 40, 40), 1.0)
    image = acquire_ct(water, geometry, scan, averaging, generator=Generator().manual_seed(0))
    assert image.voxels.std() == pytest.approx(15, rel=0.04)
    assert image.voxels.dtype == np.int16


def test_averages_keep_the_mean() -> None:
    volume = torch.rand(8, 9, 10, generator=Generator().manual_seed(0))
    assert average(volume, (2, 3, 5)).mean().item() == pytest.approx(volume.mean().item(), abs=1e-6)
    assert average(volume, (1, 1, 1)) is volume


def test_a_voxel_lies_in_the_middle_of_its_block() -> None:
    thick = averaged_geometry(GEOMETRY, (2, 3, 4)).affine
    assert np.allclose(thick @ [0, 0, 0, 1], GEOMETRY.affine @ [0.5, 1, 1.5, 1])
    assert np.allclose(thick @ [2, 2, 2, 1], GEOMETRY.affine @ [4.5, 7, 9.5, 1])


def test_turning_to_lps_moves_nothing() -> None:
    image = acquire_ct(
        body(), GEOMETRY, CTScan(1.0, 0), Averaging(), generator=Generator().manual_seed(0)
    )
    turned = turned_to_lps(image)
    assert turned.geometry.orientation == "LPS"
    assert np.allclose(centroid(turned, 600), WHERE, atol=0.05)
