"""A process's time and memory are seen from outside; a scaled head fills its cube."""

import sys

import numpy as np
import pytest

from benchmarks.speed import head_cube, usage_of
from medgen.data.body import body_of
from medgen.errors import MedgenError
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import Kind, Modality


def test_sleep_and_memory_are_measured() -> None:
    code = "import time; held = bytearray(200_000_000); time.sleep(0.3)"
    used = usage_of([sys.executable, "-c", code], threads=1)
    assert used.seconds > 0.3
    assert 0.2 < used.peak_gb < 0.35


def test_a_failure_is_no_measurement() -> None:
    with pytest.raises(MedgenError, match="ended with 3: too bad"):
        usage_of(
            [sys.executable, "-c", "import sys; print('too bad', file=sys.stderr); sys.exit(3)"],
            threads=1,
        )


@pytest.mark.parametrize("size", [32, 48])
def test_a_head_fills_the_cube_at_1_mm(size: int) -> None:
    affine = np.diag([-3.0, 3.0, 4.0, 1.0])
    place = (np.indices((40, 40, 30)) - 15).astype(float) * np.array([3, 3, 4])[:, None, None, None]
    voxels = np.where((place**2).sum(0) < 40**2, 900.0, 0.0).astype(np.float32)
    cube = head_cube(MedicalImage(voxels, Geometry(affine), Kind(Modality.MRI)), size)
    assert cube.voxels.shape == (size,) * 3
    np.testing.assert_allclose(cube.geometry.spacing, 1)
    assert cube.geometry.orientation == "LAS"
    index = np.argwhere(body_of(cube))
    assert (np.ptp(index, axis=0).max() + 1) == pytest.approx(size, abs=2)
