"""Hounsfield units survive storage to half a unit, and what does not fit is counted."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medgen.io.hounsfield import stored_hu


@given(arrays(np.float32, 20, elements=st.floats(-1024, 3071, width=32)))
def test_a_scanners_range_survives_to_half_a_unit(hu: np.ndarray) -> None:
    stored = stored_hu(hu)
    assert np.abs(stored.voxels - hu).max() <= 0.5
    assert stored.clipped == 0


def test_integers_are_untouched() -> None:
    hu = np.array([-1024, 0, 3071], np.int16)
    assert stored_hu(hu).voxels is hu


def test_what_does_not_fit_is_clipped_and_counted() -> None:
    for dtype in (np.float64, np.int32):
        stored = stored_hu(np.array([-40000, -32768, 0, 32767, 32768], dtype))
        assert stored.voxels.tolist() == [-32768, -32768, 0, 32767, 32767]
        assert stored.clipped == 2
