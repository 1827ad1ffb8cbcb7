"""Regions have the names that people use, and who misses one is helped."""

import json
from pathlib import Path

import numpy as np
import pytest

from medgen.errors import InputError, UsageError
from medgen.tasks.weaving.names import HEAD, named_region, names_of

LABELS = np.array([[10, 11, 12], [13, 14, 51]], np.uint8)
MAP = Path("seg.nii.gz")


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("left_lower_lobe", {11}),
        ("left_lung_lower_lobe", {11}),
        ("lung_lower_lobe_left", {11}),
        ("right_lung", {12, 13, 14}),
        ("lungs", {10, 11, 12, 13, 14}),
        ("heart", {51}),
        ("12", {12}),
    ],
)
def test_names_of_a_chest(name: str, numbers: set[int]) -> None:
    assert set(LABELS[named_region(name, MAP, LABELS)].tolist()) == numbers


def test_nearest_names_are_offered() -> None:
    with pytest.raises(UsageError, match=r"nearest: .*left_lower_lobe"):
        named_region("left_lowr_lob", MAP, LABELS)


@pytest.mark.parametrize(("name", "nearest"), [("heart", "left_lower_lobe"), ("13", "11")])
def test_what_the_map_has_none_of_is_refused(name: str, nearest: str) -> None:
    """Names that tables know, and any number, must be in the map itself."""
    lobe = np.array([[[0, 11]]])
    with pytest.raises(UsageError, match=rf"{name}: seg.nii.gz has none; nearest: .*{nearest}"):
        named_region(name, MAP, lobe)


def test_a_file_beside_the_map_decides(tmp_path: Path) -> None:
    (tmp_path / "seg.json").write_text(json.dumps({"Labels": {"10": "tumour"}}))
    path = tmp_path / "seg.nii.gz"
    assert named_region("tumour", path, LABELS).sum() == 1
    with pytest.raises(UsageError, match="nearest: tumour"):
        named_region("tumor", path, LABELS)
    (tmp_path / "seg.json").write_text("[]")
    with pytest.raises(InputError, match="does not name labels"):
        named_region("tumour", path, LABELS)


def test_several_numbers_may_have_one_name_and_the_mask_of_a_woven_scan_is_known(
    tmp_path: Path,
) -> None:
    labels, path = np.array([0, 1, 2, 3]), tmp_path / "woven_mask.nii.gz"
    named = {"Kind": "ct", "Labels": {"1": "mass", "2": "mass", "3": "oedema"}}
    (tmp_path / "woven.json").write_text(json.dumps(named))
    assert named_region("mass", path, labels).tolist() == [False, True, True, False]
    (tmp_path / "woven.json").write_text('{"Kind": "ct"}')  # of what nobody wove
    assert names_of(path, labels) == HEAD
    with pytest.raises(UsageError, match="--region 0"):
        named_region("0", path, labels)
