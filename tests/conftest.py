"""What many test files share: the rule for missing tools, and DICOM that medgen did not write."""

import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    is_promised = os.environ.get("MEDGEN_REQUIRE_TOOLS") and item.get_closest_marker("tools")
    if is_promised and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, although MEDGEN_REQUIRE_TOOLS is set: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Find a program by name, or skip the test."""

    def find(name: str) -> str:
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
        if not found:
            pytest.skip(f"{name} is not installed")
        return found

    return find


def plain_object(pixels: np.ndarray, sop_class: str, modality: str, **attributes: Any) -> Dataset:
    """A greyscale object with pixels (rows, columns) or (frames, rows, columns)."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = sop_class, generate_uid()
    made.Modality, made.PatientName, made.PatientID = modality, "Doe^Jane", "4711"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3.4.1", "1.2.3.4.2"
    made.FrameOfReferenceUID = "1.2.3.4.3"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        made.NumberOfFrames = pixels.shape[0]
    bits = pixels.dtype.itemsize * 8
    made.BitsAllocated, made.BitsStored, made.HighBit = bits, bits, bits - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes()
    for keyword, value in attributes.items():
        if value is not None:
            setattr(made, keyword, value)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


def plain_slices(voxels: np.ndarray, affine: np.ndarray, modality: str = "CT") -> list[Dataset]:
    """One classic object per slice of a volume with axes (i, j, k) and an RAS+ affine."""
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    directions = (lps[:3, :2] / spacing[:2]).T.ravel()
    return [
        plain_object(
            np.ascontiguousarray(voxels[:, :, k].T),
            {"CT": CTImageStorage, "MR": MRImageStorage}[modality],
            modality,
            InstanceNumber=k + 1,
            ImageOrientationPatient=[f"{x:.12f}" for x in directions],
            ImagePositionPatient=[f"{x:.9f}" for x in lps[:3, 3] + k * lps[:3, 2]],
            PixelSpacing=[f"{spacing[1]:.9f}", f"{spacing[0]:.9f}"],
            SliceThickness=f"{spacing[2]:.9f}",
            RescaleSlope="1",
            RescaleIntercept="0",
        )
        for k in range(voxels.shape[2])
    ]


def save_plain(objects: Dataset | list[Dataset], path: Path) -> Path:
    """Write one object to a file, or several into a folder under shuffled names."""
    if isinstance(objects, Dataset):
        objects.save_as(path, enforce_file_format=True)
        return path
    path.mkdir(parents=True, exist_ok=True)
    names = np.random.default_rng(3).permutation(len(objects))
    for name, one in zip(names, objects, strict=True):
        one.save_as(path / f"im{name:03d}", enforce_file_format=True)
    return path


@pytest.fixture(scope="session")
def plain_dicom() -> SimpleNamespace:
    """DICOM made with pydicom alone: `object`, `slices` and `save`."""
    return SimpleNamespace(object=plain_object, slices=plain_slices, save=save_plain)
