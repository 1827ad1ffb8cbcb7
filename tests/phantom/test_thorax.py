"""The procedural thorax has every organ where it belongs, of the size it has in people."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Generator

from medgen.phantom.anatomy import Anatomy
from medgen.phantom.part import LOBES, LUNGS, Part
from medgen.phantom.thorax import procedural_thorax
from medgen.phantom.tissue import Tissue

SPACING = 4.0
VOXEL_ML = SPACING**3 / 1000


@pytest.fixture(scope="module", params=[0, 1, 2])
def thorax(request: pytest.FixtureRequest) -> Anatomy:
    generator = Generator().manual_seed(request.param)
    return procedural_thorax(generator, spacing=SPACING, is_female=request.param == 1)


def where(thorax: Anatomy, *parts: Part) -> torch.Tensor:
    assert thorax.part is not None
    return torch.isin(thorax.part, torch.tensor(parts, dtype=torch.uint8))


def test_the_same_generator_gives_the_same_chest() -> None:
    first, second = (procedural_thorax(Generator().manual_seed(7), spacing=8.0) for _ in range(2))
    assert torch.equal(first.tissue, second.tissue)
    other = procedural_thorax(Generator().manual_seed(8), spacing=8.0)
    assert not torch.equal(first.tissue, other.tissue)


def test_lungs_hold_litres_of_air(thorax: Anatomy) -> None:
    volumes = {side: float(where(thorax, *lobes).sum()) * VOXEL_ML for side, lobes in LUNGS.items()}
    assert all(1200 < volume < 3800 for volume in volumes.values()), volumes
    for lobe in LOBES:
        assert float(where(thorax, lobe).sum()) * VOXEL_ML > 120, lobe.name


def test_left_is_left(thorax: Anatomy) -> None:
    """The first axis points to the patient's right, so the left lung has the low numbers."""
    for side, lobes in LUNGS.items():
        middle = where(thorax, *lobes).nonzero()[:, 0].float().mean() / thorax.tissue.shape[0]
        assert (middle < 0.45) if side == "left" else (middle > 0.55)
    heart = where(thorax, Part.HEART).nonzero()[:, 0].float().mean() / thorax.tissue.shape[0]
    assert heart < 0.5
    liver = (thorax.tissue == int(Tissue.LIVER)).nonzero()[:, 0].float().mean()
    assert liver / thorax.tissue.shape[0] > 0.5


def test_upper_lobes_are_above(thorax: Anatomy) -> None:
    height = {lobe: where(thorax, lobe).nonzero()[:, 2].float().mean() for lobe in LOBES}
    assert height[Part.LEFT_UPPER_LOBE] > height[Part.LEFT_LOWER_LOBE]
    assert height[Part.RIGHT_UPPER_LOBE] > height[Part.RIGHT_MIDDLE_LOBE]
    assert height[Part.RIGHT_UPPER_LOBE] > height[Part.RIGHT_LOWER_LOBE]


def test_a_large_heart_is_larger() -> None:
    volumes = []
    for is_large in (False, True):
        thorax = procedural_thorax(Generator().manual_seed(4), spacing=6.0, is_large_heart=is_large)
        volumes.append(float(where(thorax, Part.HEART).sum()))
    assert volumes[1] > 1.3 * volumes[0]


def test_lungs_are_closed(thorax: Anatomy) -> None:
    """No lung touches the air around the body."""
    air = thorax.tissue == int(Tissue.AIR)
    corners = np.ones((3, 3, 3), bool)  # touch as faces do
    pieces, _ = ndimage.label(air, corners)
    sides = np.concatenate([pieces[[0, -1]].ravel(), pieces[:, [0, -1]].ravel()])
    near = ndimage.binary_dilation(np.isin(pieces, sides[sides > 0]), corners)
    assert near.any()
    assert not (near & where(thorax, *LOBES).numpy()).any()


def test_every_organ_is_there(thorax: Anatomy) -> None:
    for tissue in (
        *(Tissue.FAT, Tissue.MUSCLE, Tissue.CORTICAL_BONE, Tissue.SPONGY_BONE, Tissue.CARTILAGE),
        *(Tissue.BLOOD, Tissue.HEART, Tissue.LIVER, Tissue.SPLEEN, Tissue.LUNG, Tissue.CSF),
    ):
        assert (thorax.tissue == int(tissue)).any(), tissue.name
    assert where(thorax, Part.LEFT_RIB).any()
    assert where(thorax, Part.RIGHT_RIB).any()
