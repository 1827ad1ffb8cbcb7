"""The held-out studies are fingerprinted by voxels alone, and the list says how they were made."""

import hashlib
import json
import struct
from pathlib import Path

import numpy as np

from benchmarks import heldout
from benchmarks.likeness import Match
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import Kind
from medgen.phantom.study_config import StudyConfig

LISTED = json.loads(heldout.LIST.read_text())


def image(voxels: np.ndarray, kind: str) -> MedicalImage:
    return MedicalImage(voxels, Geometry(np.diag([1.0, 2.0, 3.0, 1.0])), Kind.parse(kind))


def test_a_fingerprint_is_of_little_endian_voxels_in_c_order() -> None:
    hu = np.array([[[-1000, 40], [3, 1200]]])
    found = heldout.fingerprint(image(hu, "ct"))
    assert found["sha256"] == hashlib.sha256(struct.pack("<4h", -1000, 40, 3, 1200)).hexdigest()
    assert found["shape"] == [1, 2, 2]
    assert found["spacing_mm"] == [1, 2, 3]
    signal = heldout.fingerprint(image(hu.astype(np.float32), "mri:t1"))
    assert signal["sha256"] == hashlib.sha256(struct.pack("<4f", -1000, 40, 3, 1200)).hexdigest()


def test_memory_layout_and_byte_order_do_not_matter() -> None:
    hu = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    plain = heldout.fingerprint(image(hu, "ct"))
    assert heldout.fingerprint(image(np.asfortranarray(hu), "ct")) == plain
    assert heldout.fingerprint(image(hu.astype(">i2"), "ct")) == plain


def test_the_list_is_of_the_rules_and_heads_in_the_script() -> None:
    assert LISTED["version"] == heldout.VERSION
    assert LISTED["rules"] == heldout.RULES
    assert {study["id"]: study["seed"] for study in LISTED["studies"]} == heldout.HEADS
    assert StudyConfig(**heldout.RULES).spacing == 1.0
    for study in LISTED["studies"]:
        assert list(study["images"]) == ["ct", "mri:t1", "mri:t2", "mri:flair", "mri:pd"]
        assert all(each["spacing_mm"] == [1, 1, 1] for each in study["images"].values())


def test_differences_are_told_by_study_and_image() -> None:
    listed = LISTED["studies"][0]
    assert heldout.differences(listed, listed) == []
    changed = json.loads(json.dumps(listed))
    changed["images"]["mri:t2"] |= {"sha256": "0", "signature": [0.0] * 128}
    (line,) = heldout.differences(changed, listed)
    assert line.startswith("head_19 mri:t2: is another image")
    changed["labels_sha256"] = "0"
    assert heldout.differences(changed, listed) == [
        "head_19: the label map is another file than the list was made from"
    ]


def test_another_last_digit_is_alike_and_its_result_says_so(tmp_path: Path) -> None:
    listed = LISTED["studies"][0]
    assert set(heldout.matches(listed, listed).values()) == {Match.EXACT}
    changed = json.loads(json.dumps(listed))
    changed["images"]["ct"]["sha256"] = "0"
    assert heldout.differences(changed, listed) == []
    found = heldout.matches(changed, listed)
    assert found.pop("ct") is Match.ALIKE
    assert set(found.values()) == {Match.EXACT}
    assert heldout.matched(tmp_path) == "unknown"
    (tmp_path / heldout.MATCHES).write_text(json.dumps({"head_19": {"ct": "alike", **found}}))
    assert heldout.matched(tmp_path) == "alike"


def test_another_grid_is_another_image() -> None:
    listed = LISTED["studies"][0]
    changed = json.loads(json.dumps(listed))
    changed["images"]["ct"]["spacing_mm"] = [1.0, 1.0, 1.1]
    assert heldout.matches(changed, listed)["ct"] is Match.OTHER


def test_the_list_is_written_as_it_stands() -> None:
    assert heldout.as_text(LISTED) == heldout.LIST.read_text()
