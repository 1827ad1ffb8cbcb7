"""Sizes are judged by what is declared, before anything is allocated."""

from pathlib import Path

import pytest

from medgen.errors import InputError
from medgen.io.limits import FREE_BYTES, MAX_RATIO, check_expansion, check_voxels

SCAN = Path("scan.nii")


def test_the_largest_ct_is_allowed() -> None:
    check_voxels(SCAN, (1024, 1024, 1000))


@pytest.mark.parametrize("shape", [(0, 5, 5), (5, -1, 5), (-3, -3, 9)])
def test_impossible_dimensions_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"scan\.nii: declares impossible dimensions"):
        check_voxels(SCAN, shape)


def test_huge_dimensions_do_not_overflow() -> None:
    with pytest.raises(InputError, match="resample it to fewer"):
        check_voxels(SCAN, (2**62, 2**62, 4))  # wraps to 0 in 64 bits


def test_the_cap_is_the_callers() -> None:
    with pytest.raises(InputError, match="1000"):
        check_voxels(SCAN, (10, 10, 11), 1000)


def test_only_absurd_ratios_are_refused() -> None:
    check_expansion(SCAN, packed=10, unpacked=FREE_BYTES)
    check_expansion(SCAN, packed=10**6, unpacked=10**6 * MAX_RATIO)
    with pytest.raises(InputError, match="decompression bomb"):
        check_expansion(SCAN, packed=10**6, unpacked=10**9)
