"""Normalising and back changes nothing inside the window, and an MRI's window ignores the air."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medgen.data.intensity import HEADROOM, HOUNSFIELD, Window, intensity_of, mri_window
from medgen.io import files
from medgen.io.provenance import Provenance
from medgen.modality import FACTS, Kind, Modality


@given(arrays(np.float32, 20, elements=st.floats(-5000, 5000, width=32, allow_subnormal=False)))
def test_there_and_back_is_a_clip(values: np.ndarray) -> None:
    back = HOUNSFIELD.denormalise(HOUNSFIELD.normalise(values))
    assert np.abs(back - values.clip(-1024, 3071)).max() < 1e-3


@given(arrays(np.float32, 20, elements=st.floats(-3, 3, width=32, allow_subnormal=False)))
def test_back_and_there_is_a_clip(values: np.ndarray) -> None:
    window = Window(-20.0, 1480.0)
    assert np.abs(window.normalise(window.denormalise(values)) - values.clip(-1, 1)).max() < 1e-6


def test_the_ends_of_the_window_are_exact() -> None:
    low, high = FACTS[Modality.CT].window or (0, 0)
    assert HOUNSFIELD.normalise(np.array([low, high])).tolist() == [-1.0, 1.0]
    assert HOUNSFIELD.denormalise(np.array([-1.0, 1.0])).tolist() == [low, high]


def test_hu_survive_from_file_to_file(tmp_path: Path, volumes: SimpleNamespace) -> None:
    hu = np.arange(-1024, 3071, dtype=np.int16)[: 15 * 16 * 17].reshape(15, 16, 17)
    image = files.read(volumes.save(hu, tmp_path / "in.nii.gz"))
    same = HOUNSFIELD.denormalise(HOUNSFIELD.normalise(image.voxels))
    made = image.with_voxels(same, Kind.parse("ct"))
    files.write(made, tmp_path / "out.nii.gz", provenance=Provenance("translate", "none"))
    assert np.array_equal(files.read(tmp_path / "out.nii.gz").voxels, hu)


@pytest.mark.parametrize("margin", [4, 20])
def test_air_around_the_head_hardly_moves_an_mri_window(
    volumes: SimpleNamespace, margin: int
) -> None:
    head = volumes.head("mri", (48, 48, 48))
    padded = np.pad(head, margin)
    assert mri_window(padded).high == pytest.approx(mri_window(head).high, rel=0.02)
    assert mri_window(padded).low == mri_window(head).low == 0


@pytest.mark.parametrize("scale", [1e-9, 0.01, 3.0, 1e6])
def test_an_mri_window_scales_with_its_image(volumes: SimpleNamespace, scale: float) -> None:
    head = volumes.head("mri").astype(np.float64)
    assert mri_window(scale * head).high == pytest.approx(scale * mri_window(head).high, rel=1e-5)


def test_an_mri_window_reaches_half_beyond_the_bright_tissue() -> None:
    values = np.zeros((10, 10, 10))
    values[2:8] = 600
    assert mri_window(values) == Window(0.0, HEADROOM * 600)


def test_negative_mri_voxels_are_inside_the_window(volumes: SimpleNamespace) -> None:
    shifted = volumes.head("mri") - np.int16(50)
    window = mri_window(shifted)
    assert window.low < -40
    assert window.high - window.low == pytest.approx(mri_window(volumes.head("mri")).high, rel=0.01)


def test_one_bright_speck_still_has_a_window() -> None:
    values = np.zeros((80, 80, 80), np.float32)
    values[41, 3, 3] = 7.0  # not even in the planes that are looked at
    assert mri_window(values).high == pytest.approx(HEADROOM * 7)


def test_only_ct_has_a_fixed_window(volumes: SimpleNamespace) -> None:
    assert intensity_of(Modality.CT, volumes.head("mri")) == HOUNSFIELD
    assert intensity_of(Modality.MRI, volumes.head("mri")).low == 0
