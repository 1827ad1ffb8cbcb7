"""TotalSegmentator's numbers become tissues and parts, and what no table explains is refused."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from medgen.errors import InputError
from medgen.phantom.part import Part
from medgen.phantom.thorax_labels import DENSE, read_thorax
from medgen.phantom.tissue import Tissue

NUMBERS = [10, 11, 12, 13, 14, 51, 51 + DENSE, 95, 95 + DENSE, 107, 123, 125, 10 + DENSE, 5, 118]


def write(path: Path, numbers: list[int], codes: str = "RAS") -> Path:
    voxels = np.zeros((6, 6, len(numbers) + 2), np.int16)
    for at, number in enumerate(numbers, start=1):
        voxels[1:5, 1:5, at] = number
    image = nibabel.Nifti1Image(voxels, np.diag([2.0, 2.0, 3.0, 1]))
    turn = nibabel.orientations.axcodes2ornt(codes)
    nibabel.save(image.as_reoriented(turn), path)
    return path


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAR"])
def test_numbers_become_tissues_and_parts(tmp_path: Path, codes: str) -> None:
    found = read_thorax(write(tmp_path / "labels.nii.gz", NUMBERS, codes))
    assert found.name == "labels"
    assert found.spacing == (2.0, 2.0, 3.0)
    assert found.part is not None
    seen = [
        (Tissue(int(found.tissue[2, 2, at])), Part(int(found.part[2, 2, at])))
        for at in range(1, 16)
    ]
    assert seen == [
        (Tissue.LUNG, Part.LEFT_UPPER_LOBE),
        (Tissue.LUNG, Part.LEFT_LOWER_LOBE),
        (Tissue.LUNG, Part.RIGHT_UPPER_LOBE),
        (Tissue.LUNG, Part.RIGHT_MIDDLE_LOBE),
        (Tissue.LUNG, Part.RIGHT_LOWER_LOBE),
        (Tissue.HEART, Part.HEART),
        (Tissue.BLOOD, Part.HEART),
        (Tissue.SPONGY_BONE, Part.LEFT_RIB),
        (Tissue.CORTICAL_BONE, Part.LEFT_RIB),
        (Tissue.SPONGY_BONE, Part.RIGHT_RIB),
        (Tissue.MUSCLE, Part.NONE),
        (Tissue.FAT, Part.NONE),
        (Tissue.BLOOD, Part.LEFT_UPPER_LOBE),
        (Tissue.LIVER, Part.NONE),
        (Tissue.CARTILAGE, Part.NONE),
    ]


@pytest.mark.parametrize("number", [999, -3, 200, 130])
def test_an_unknown_number_is_named(tmp_path: Path, number: int) -> None:
    path = write(tmp_path / "labels.nii.gz", [*NUMBERS, number])
    with pytest.raises(InputError, match=f"labels.nii.gz.*{number}"):
        read_thorax(path)


def test_a_map_without_a_lobe_is_no_thorax(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.nii.gz", [number for number in NUMBERS if number != 13])
    with pytest.raises(InputError, match="right middle lobe"):
        read_thorax(path)
