"""What is decoded becomes an image with its unit, its spacing, and its middle at 0 mm."""

import numpy as np
import pytest
import torch

from medgen.modality import Kind
from medgen.tasks.generating.made_image import image_of


def ramp(*shape: int) -> torch.Tensor:
    return torch.linspace(-1, 1, int(np.prod(shape))).view(1, *shape)


def test_ct_is_in_hu() -> None:
    image = image_of(ramp(3, 3, 3), Kind.parse("ct"), 2.0)
    assert image.voxels.dtype == np.int16
    assert (image.voxels.min(), image.voxels.max()) == (-1024, 3071)
    assert image.voxels[1, 1, 1] in (1023, 1024)  # half way between


@pytest.mark.parametrize("shape", [(3, 3, 3), (4, 6, 8)])
def test_the_middle_of_a_volume_is_at_0_mm(shape: tuple[int, int, int]) -> None:
    image = image_of(ramp(*shape), Kind.parse("mri:t1"), 3.0)
    middle = image.geometry.affine @ [*((size - 1) / 2 for size in shape), 1]
    np.testing.assert_allclose(middle, [0, 0, 0, 1])
    assert image.geometry.spacing == (3.0, 3.0, 3.0)
    assert image.geometry.orientation == "RAS"
    assert image.voxels.min() == 0


def test_a_radiograph_has_12_bits_and_no_size() -> None:
    image = image_of(ramp(4, 4), Kind.parse("xray"))
    assert (image.voxels.min(), image.voxels.max()) == (0, 4095)
    assert not image.spacing_is_known
