"""What many test files share: the rule for missing tools, DICOM, small heads, a tiny model."""

import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import monai  # noqa: F401  # before medgen, whose checked modules would compile all of torch anew
import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from tests.unchecked import unchecked

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
    made.Modality, made.PatientName, made.PatientID = modality, "Doe^Jane", "MRN-4711"
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


def head(kind: str, shape: tuple[int, int, int] = (26, 24, 28)) -> np.ndarray:
    """A small ball of a head: air, scalp, skull and brain, as CT or as MRI sees it."""
    axes = [np.linspace(-1, 1, size) for size in shape]
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    layers = radius[..., None] > [0.6, 0.75, 0.85]  # brain | skull | scalp | air
    values = {"ct": [35, 900, 20, -1000], "mri": [500, 40, 800, 5]}[kind]
    noise = np.random.default_rng(3).normal(0, 3, shape)
    ideal = np.array(values)[layers.sum(-1)] + noise
    return np.rint(ideal if kind == "ct" else np.abs(ideal)).astype(np.int16)


def save_nifti(voxels: np.ndarray, path: Path, affine: np.ndarray | None = None) -> Path:
    """Write voxels with nibabel alone; 2 mm voxels unless the affine says otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, np.diag([2.0, 2, 2, 1]) if affine is None else affine), path)
    return path


@pytest.fixture(scope="session")
def volumes() -> SimpleNamespace:
    """Small heads: `head(kind, shape)`, and `save(voxels, path, affine)` as NIfTI."""
    return SimpleNamespace(head=head, save=save_nifti)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A translator with random weights, as a model folder."""
    import torch

    from medgen.checkpoint import Card, TrainingRange
    from medgen.tasks.translator.model import save_translator
    from medgen.tasks.translator.translator import Translator, TranslatorConfig

    torch.manual_seed(0)
    config = TranslatorConfig(widths=(8, 8))
    seen = TrainingRange(spacing_mm=(0.4, 6.0), fov_mm=(40, 330), intensity={"ct": (-1100, 3500)})
    card = Card("tiny", "1", "translate", steps=7, training_range=seen)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_translator(folder, card, config, Translator(config).state_dict())
    return folder


@pytest.fixture(scope="session")
def corner_flows(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A model that makes radiographs with a bright corner: `model`, its `codecs` and `manifest`.

    Trained once: the test processes share it.
    """
    from filelock import FileLock

    from tests.tasks.align_toy import write_corners
    from tests.tasks.flow_toy import toy_codecs, toy_flow

    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own) / "corners"
    manifest, codecs, model = (folder / name for name in ("manifest.jsonl", "codecs", "flow"))
    with FileLock(f"{folder}.lock"), unchecked():
        if not folder.exists():
            folder.mkdir()
            toy_codecs(write_corners(folder), codecs)
            toy_flow(manifest, codecs / "report" / "model", model)
    return SimpleNamespace(
        model=model / "model", codecs=codecs / "report" / "model", manifest=manifest
    )


@pytest.fixture(scope="session")
def corner_reports(
    corner_flows: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """The same model with a finder and a writer: `model`, `manifest`, and `studies`, a folder."""
    from filelock import FileLock

    from tests.tasks.report_toy import toy_reporter

    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own) / "corner-reports"
    with FileLock(f"{folder}.lock"), unchecked():
        if not folder.exists():
            toy_reporter(corner_flows.manifest, corner_flows.model, folder)
    return SimpleNamespace(
        model=folder / "writer" / "model",
        manifest=corner_flows.manifest,
        studies=corner_flows.manifest.parent,
    )


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A model of all modalities: `flows`, then its `rounds` by name, and last `model`; `manifest`.

    Trained once: the test processes share it.
    """
    from filelock import FileLock

    from tests.tasks.world_toy import ROUNDS, train_rounds, train_world, write_world

    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own) / "world"
    manifest, flows = folder / "studies" / "manifest.jsonl", folder / "alone" / "flow-mri" / "model"
    with FileLock(f"{folder}.lock"), unchecked():
        if not folder.exists():
            folder.mkdir()
            train_world(write_world(folder / "studies", head), folder / "alone")
            train_rounds(manifest, flows, folder)
    rounds = {name: folder / name / "model" for name in ROUNDS}
    return SimpleNamespace(
        manifest=manifest, flows=flows, rounds=rounds, model=rounds["ct-mri"], folder=folder
    )
