"""A standard view shows the patient upright, in the middle, at known places and grey levels."""

import numpy as np
import pytest
import torch

from medgen.data.intensity import HEADROOM
from medgen.data.standard import (
    CT_WINDOWS,
    StandardConfig,
    channels_of,
    radiograph_view,
    ranked,
    standard_grid,
    standard_view,
)
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import Contrast, Kind, Modality

SMALL = StandardConfig(side=32, shape=(16, 12, 20), spacings=(2.0,))
CT = Kind(Modality.CT)


def volume(codes: str, voxels: np.ndarray, kind: Kind = CT) -> MedicalImage:
    """An image whose axes run as the codes say, 1 mm apart."""
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, code in enumerate(codes):
        world = "LPIRAS".index(code) % 3
        affine[world, axis] = 1.0 if code in "RAS" else -1.0
    return MedicalImage(voxels, Geometry(affine), kind)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAR", "PIL"])
def test_a_volume_is_turned_upright(codes: str) -> None:
    """The right half is bone, the upper half of the left one soft tissue, the rest air."""
    upright = np.full((32, 24, 40), -1000.0, np.float32)
    upright[16:] = 1500
    upright[:16, :, 20:] = 40
    order = ["RAS".index({"L": "R", "P": "A", "I": "S"}.get(code, code)) for code in codes]
    voxels = upright.transpose(order)
    for axis, code in enumerate(codes):
        voxels = np.flip(voxels, axis) if code in "LPI" else voxels
    found = standard_view(volume(codes, np.ascontiguousarray(voxels)), Modality.CT, SMALL)
    assert found.shape == (4, 16, 12, 20)
    assert (found[2, 9:] == 1).all()
    assert (found[:, :7, :, :9] == -1).all()
    soft = torch.tensor([float(window.normalise(np.full(1, 40.0))[0]) for window in CT_WINDOWS])
    assert torch.allclose(found[:, 3, 6, 15], soft, atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 60, 20), (90, 10, 33), (32, 24, 40)])
def test_the_middle_stays_the_middle(shape: tuple[int, int, int]) -> None:
    image = volume("RAS", np.random.default_rng(0).normal(size=shape).astype(np.float32))
    grid = standard_grid(image, SMALL, image.voxels > 0)
    middles = [
        affine @ np.append((np.array(size) - 1) / 2, 1)
        for affine, size in ((image.geometry.affine, shape), (grid.geometry.affine, grid.shape))
    ]
    assert np.allclose(*middles)
    assert grid.shape == SMALL.shape


def test_an_mri_fills_its_window_and_air_is_black() -> None:
    voxels = np.full((8, 8, 8), 500.0, np.float32)
    voxels[0, 0, 0] = 0
    found = standard_view(
        volume("RAS", voxels, Kind(Modality.MRI, Contrast.T1)), Modality.MRI, SMALL
    )
    assert found.shape == (2, *SMALL.shape)
    assert found[0, 8, 6, 10] == pytest.approx(2 / HEADROOM - 1)
    assert found[0, 0, 0, 0] == -1


def test_ranks_of_an_mri_do_not_change_with_gain_or_gamma() -> None:
    values = torch.rand(6, 5, 4, generator=torch.Generator().manual_seed(0)) * 1.7 - 0.8
    values[0] = -1
    found = ranked(values)
    assert torch.equal(found, ranked(2 * ((values + 1) / 2) ** 0.8 - 1))
    assert (found[0] == -1).all()
    inside = found[1:].flatten().sort().values
    assert torch.allclose(inside, 2 * torch.arange(1, 101) / 100 - 1)


def test_equal_values_have_one_rank_and_air_none() -> None:
    values = torch.tensor([-1.0, 0.5, 0.5, 0.7, -0.95])
    assert ranked(values).tolist() == pytest.approx([-1, 1 / 3, 1 / 3, 1, -1])
    assert (ranked(torch.full((3, 2), -1.0)) == -1).all()


@pytest.mark.parametrize(("rows", "columns"), [(40, 80), (80, 40), (16, 16), (33, 70)])
def test_a_radiograph_is_scaled_whole_into_a_square(rows: int, columns: int) -> None:
    grey = np.linspace(0, 4095, columns, dtype=np.float32) + np.zeros((rows, 1), np.float32)
    found = radiograph_view(grey.astype(np.uint16), 32)
    assert found.shape == (1, 32, 32)
    height, width = (round(32 * size / max(rows, columns)) for size in (rows, columns))
    top, left = (32 - height) // 2, (32 - width) // 2
    inside = found[0, top : top + height, left : left + width]
    assert (inside.diff(dim=1) >= -1e-5).all()
    assert inside[:, -1].min() > 0.9
    beside = torch.ones(32, 32, dtype=torch.bool)
    beside[top : top + height, left : left + width] = False
    assert (found[0][beside] == -1).all()


def test_a_flat_radiograph_is_no_error() -> None:
    assert radiograph_view(np.full((9, 9), 7, np.uint16), 32).isfinite().all()


def test_channels_are_those_of_the_view() -> None:
    assert [channels_of(each) for each in (Modality.CT, Modality.MRI, Modality.XRAY)] == [4, 2, 1]
