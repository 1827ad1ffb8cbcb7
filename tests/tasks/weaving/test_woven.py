"""What is added to a scan stays in its type and range, and each voxel has one owner."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medgen.data.intensity import HOUNSFIELD, Window
from medgen.io import files
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.modality import Kind
from medgen.tasks.weaving.output import Outputs, write_all
from medgen.tasks.weaving.woven import Woven, added, labels_of, measured

ROW = np.array([0, 10, 20, 30], np.int16)
ONE_MM = Geometry(np.eye(4))


def radiograph(voxels: np.ndarray) -> MedicalImage:
    return MedicalImage(voxels[None], ONE_MM, Kind.parse("xray"))


def test_sums_are_rounded_and_stay_in_the_range_of_the_scan() -> None:
    change = np.array([[2.4, 2.6, 99.0, -99.0]])
    changed = np.array([[True, True, True, False]])
    voxels = added(radiograph(ROW), change, changed, Window(0.0, 30.0))
    assert voxels.tolist() == [[2, 13, 30, 30]]
    assert voxels.dtype == np.int16


def test_a_ct_may_become_as_bright_as_any_ct() -> None:
    change = np.array([[2000.0, 9000.0, 0.0, 0.0]])
    voxels = added(radiograph(ROW), change, change > 0, HOUNSFIELD)
    assert voxels.tolist() == [[2000, 3071, 20, 30]]


def test_an_overlap_goes_to_the_first_and_a_region_within_another_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dense = np.array([[1, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1], [0, 1, 0, 0, 0, 0]], bool)
    assert labels_of(dense[:2], ["a", "b"]).tolist() == [1, 1, 1, 1, 2, 2]
    assert "regions overlap in 1 voxels" in caplog.text
    # Of the third all lies within the first, which would hide it: it gets all of that.
    assert labels_of(dense[[0, 2]], ["a", "c"]).tolist() == [1, 2, 1, 1, 0, 0]
    assert labels_of(dense[[0, 0]], ["a", "d"]).tolist() == [1, 1, 1, 1, 0, 0]
    assert "d: its region lies within another one and is left out" in caplog.text


def test_a_region_is_measured_in_the_unit_of_the_scan() -> None:
    rows = np.stack([ROW, ROW])
    scan = MedicalImage(rows, ONE_MM, Kind.parse("xray"))
    region = np.array([[False, True, True, False]] * 2)
    woven = scan.with_voxels(rows + np.where(region, 5, 0).astype(np.int16), Kind.parse("xray"))
    found = measured("mass", region, scan, woven)
    assert (found.voxels, found.area_mm2, found.volume_ml) == (4, 4.0, None)
    assert (found.before.mean, found.after.mean) == (15, 20)
    assert (found.before.contrast, found.after.contrast) == (0, 5)
    assert found.distance == {}


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_series_is_the_scan_outside_of_what_was_woven(
    plain_dicom: SimpleNamespace, tmp_path: Path, modality: str
) -> None:
    """Half a unit is not rounded away, where the scanner stores such."""
    stored = np.random.default_rng(0).integers(0, 4000, (6, 5, 4)).astype(np.uint16)
    slices = plain_dicom.slices(stored, np.eye(4), modality)
    for one in slices:
        one.RescaleSlope, one.RescaleIntercept = "0.5", "-1000"
    scan = files.read(plain_dicom.save(slices, tmp_path / "scan"))
    changed = np.zeros(stored.shape, bool)
    changed[1:3, 1:3, 1:3] = True
    made = replace(scan, voxels=scan.voxels + np.where(changed, np.float32(7.3), np.float32(0)))
    woven = Woven(made, changed, changed.astype(np.uint8), ())
    outputs = Outputs(tmp_path / "out", tmp_path / "out_mask.nii.gz")
    write_all(woven, scan, outputs, Provenance("weave", "toy"), {})
    again = files.read(outputs.scan)
    assert np.array_equal(again.voxels[~changed], scan.voxels[~changed])
    np.testing.assert_allclose(again.voxels[changed], made.voxels[changed], atol=0.25)
