"""A radiograph is changed as it is shown, and what is not changed is stored as it was."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage
from pydicom.uid import DigitalXRayImageStorageForPresentation as DXImageStorage
from pydicom.uid import MultiFrameGrayscaleWordSecondaryCaptureImageStorage as GreyWordStorage

from medgen.io import dicom
from medgen.io.provenance import Provenance
from medgen.modality import Kind

BY = Provenance("weave", "flows", "0123456789abcdef")
XRAY = Kind.parse("xray")


def lookup(shown: np.ndarray, *, bits: int = 12) -> Dataset:
    """A table for values from 0 on."""
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [len(shown), 0, bits])
    table.add_new("LUTData", "US", shown.tolist())
    table.LUTExplanation = table.ModalityLUTType = "Dr Who's"
    return table


WINDOW = {"WindowCenter": ["1500.5", "7"], "WindowWidth": ["2000", "9"]}
RISING = np.minimum(np.arange(4096) // 2, 1500)
DISPLAYS = {
    "plain": {},
    "inverted": {"PhotometricInterpretation": "MONOCHROME1"},
    "window": WINDOW,
    "inverted window": {**WINDOW, "PhotometricInterpretation": "MONOCHROME1"},
    "sigmoid": {**WINDOW, "VOILUTFunction": "SIGMOID"},
    "rescaled": {"RescaleSlope": "0.5", "RescaleIntercept": "-7", **WINDOW},
    "rescaled alone": {"RescaleSlope": "0.5", "RescaleIntercept": "-7"},
    "signed": {"PixelRepresentation": 1},
    "table": {"VOILUTSequence": [lookup(RISING)], **WINDOW},
    "falling table": {"VOILUTSequence": [lookup(RISING[::-1])]},
    "two tables": {
        "ModalityLUTSequence": [lookup(np.arange(4096)[::-1], bits=16)],
        "VOILUTSequence": [lookup(RISING)],
    },
}


@pytest.mark.parametrize("storage", [ComputedRadiographyImageStorage, DXImageStorage])
@pytest.mark.parametrize("display", DISPLAYS)
def test_what_did_not_change_is_stored_and_shown_as_it_was(
    plain_dicom: SimpleNamespace, tmp_path: Path, display: str, storage: str
) -> None:
    """A square is made brighter, and whiter than white at a corner."""
    grey = np.random.default_rng(1).permutation(4096).astype(np.uint16).reshape(64, 64)
    how = {"BitsStored": 12, "HighBit": 11, "ImagerPixelSpacing": ["0.2", "0.2"]}
    source = plain_dicom.object(grey, storage, "DX", **how, **DISPLAYS[display])
    image = dicom.read(plain_dicom.save(source, tmp_path / "a.dcm"))
    levels, changed = np.unique(image.voxels), np.zeros(grey.shape, bool)
    changed[20:40, 20:40] = True
    voxels = image.voxels.astype(np.float32)
    voxels[changed] = (voxels[changed] + 300.3).clip(levels[0], levels[-1])
    woven = image.with_voxels(voxels.astype(image.voxels.dtype), XRAY)
    out = dicom.write(woven, tmp_path / "b.dcm", provenance=BY, keep_steps=True)
    after, again = pydicom.dcmread(out), dicom.read(out)
    assert np.array_equal(after.pixel_array[~changed], source.pixel_array[~changed])
    assert np.array_equal(again.voxels[~changed], image.voxels[~changed])
    off = np.abs(again.voxels[changed].astype(float) - woven.voxels[changed])
    assert off.max() <= np.diff(levels.astype(float)).max() / 2 + 1e-3
    assert after.PhotometricInterpretation == source.PhotometricInterpretation
    assert "Who" not in str(after)


def test_what_is_shown_alike_stays_as_near_as_can_be_to_what_was_stored(
    plain_dicom: SimpleNamespace, tmp_path: Path
) -> None:
    stored = np.array([[0, 10, 20, 25, 30, 40, 50, 60]], np.uint16)
    window = {"WindowCenter": 26, "WindowWidth": 11}  # 20 and less is black, 30 and more white
    made = plain_dicom.object(stored, DXImageStorage, "DX", **window)
    image = dicom.read(plain_dicom.save(made, tmp_path / "a.dcm"))
    black, white = image.voxels.min(), image.voxels.max()
    wanted = image.voxels.copy()
    wanted[0, :] = [white, black, white, white, black, black, white, black]
    woven = image.with_voxels(wanted, XRAY)
    out = dicom.write(woven, tmp_path / "b.dcm", provenance=BY, keep_steps=True)
    assert pydicom.dcmread(out).pixel_array.tolist() == [[31, 10, 31, 31, 20, 20, 50, 20]]


def test_more_than_16_bits_and_one_frame_of_several(
    plain_dicom: SimpleNamespace, tmp_path: Path
) -> None:
    frames = (np.arange(24, dtype=np.uint32) * 100_000).reshape(2, 3, 4)
    made = plain_dicom.object(frames, GreyWordStorage, "CR")
    image = dicom.read(plain_dicom.save(made, tmp_path / "a.dcm"), frame=1)
    voxels = image.voxels.copy()
    voxels[0, 0] += 140_000
    out = tmp_path / "b.dcm"
    dicom.write(image.with_voxels(voxels, XRAY), out, provenance=BY, keep_steps=True)
    expected = frames[1].copy()
    expected[0, 0] += 100_000
    assert np.array_equal(pydicom.dcmread(out).pixel_array, expected)
