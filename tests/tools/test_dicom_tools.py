"""The validators and archives that hospitals use accept every kind of DICOM that medgen writes."""

import json
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from pydicom.uid import ComputedRadiographyImageStorage
from pydicom.uid import DigitalXRayImageStorageForPresentation as DXImageStorage

from medgen.cli.app import main
from medgen.io import dicom
from medgen.io.detector import flat_detector
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.modality import Kind

pytestmark = pytest.mark.tools
PROVENANCE = Provenance("translate", "base", "0123456789abcdef", seed=7)
RNG = np.random.default_rng(0)
GRID = Geometry(np.array([[0, 0, 1.5, 0], [-0.9, 0, 0, 9], [0, -0.9, 0, 5], [0, 0, 0, 1.0]]))
SHAPE = (12, 10, 3)
ALLOWED = "Error - </(0008,001c)> - Attribute with an even group number is not a recognized"
Tool = Callable[[str], str]


def volume(kind: str, voxels: np.ndarray) -> MedicalImage:
    return MedicalImage(voxels, GRID, Kind.parse(kind))


def radiograph(*, spacing_is_known: bool) -> MedicalImage:
    grey = RNG.integers(0, 4096, (32, 24)).astype(np.uint16)
    return MedicalImage(
        grey, flat_detector(0.14, 0.14), Kind.parse("xray"), spacing_is_known=spacing_is_known
    )


KINDS = {
    "ct": volume("ct", RNG.integers(-1024, 3000, SHAPE).astype(np.int16)),
    "mr": volume("mri:t1", RNG.integers(0, 900, SHAPE).astype(np.int16)),
    "mr-float": volume("mri:flair", RNG.normal(size=SHAPE).astype(np.float32)),
    "dx": radiograph(spacing_is_known=True),
    "cr": radiograph(spacing_is_known=False),
}

SIGMAS = ("ct", "mr-float")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Every kind that medgen writes, and each of them derived again with its patient kept."""
    root, files = tmp_path_factory.mktemp("dicom"), {}
    for name, image in KINDS.items():
        folder = dicom.write(image, root / name, provenance=PROVENANCE)
        files[name] = sorted(folder.iterdir())
        again = dicom.read(folder)
        kept = dicom.write(
            again.with_voxels(again.voxels[::-1].copy(), image.kind or Kind.parse("ct")),
            root / f"{name}-kept",
            provenance=PROVENANCE,
            keep_patient=True,
        )
        files[f"{name}-kept"] = sorted(kept.iterdir())
    for name in SIGMAS:
        spread = replace(PROVENANCE, is_sigma=True)
        folder = dicom.write(KINDS[name], root / f"{name}-sigma", provenance=spread)
        files[f"{name}-sigma"] = sorted(folder.iterdir())
    return files


ALL = [*KINDS, *(f"{name}-kept" for name in KINDS), *(f"{name}-sigma" for name in SIGMAS)]


@pytest.fixture(scope="module")
def reports(
    written: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A report of every source there can be: none, a radiograph, a volume and a prior study."""
    folder = tmp_path_factory.mktemp("reports")
    text = dicom.ReportText("Large left effusion.\nSize 5 \u00b5m.", "Effusion.", "Cough.", "PA.")
    images = {name: dicom.read(written[name][0].parent) for name in ("dx", "cr", "ct")}
    sources = {"nothing": [], "dx": [images["dx"]], "both": [images["ct"], images["dx"]]}
    made = {
        name: dicom.write_text_sr(text, folder / f"{name}.dcm", given, PROVENANCE)
        for name, given in sources.items()
    }
    for name in ("dx", "ct"):
        path = folder / f"{name}-kept.dcm"
        given = [images[name]]
        made[path.stem] = dicom.write_text_sr(text, path, given, PROVENANCE, keep_patient=True)
    return made


@pytest.mark.parametrize("name", ALL)
def test_dciodvfy_finds_no_error(tool: Tool, written: dict[str, list[Path]], name: str) -> None:
    for path in written[name][:2]:
        check(tool, path)


def check(tool: Tool, path: Path) -> None:
    """Run the validator; its exit status is 0 whatever it finds."""
    command = [tool("dciodvfy"), "-new", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert len(errors) == 1, errors
    assert errors[0].startswith(ALLOWED)  # the validator is older than SyntheticData


@pytest.mark.parametrize("part", ["HEAD", "CHEST", "HAND", "LUNG", "SPINE"])
def test_dciodvfy_finds_no_error_whatever_the_part(
    tool: Tool, plain_dicom: SimpleNamespace, tmp_path: Path, part: str
) -> None:
    """Laterality and the region's code depend on the part that is examined."""
    grey = RNG.integers(0, 4096, (8, 9)).astype(np.uint16)
    sources = {
        "ct": plain_dicom.slices(RNG.integers(-9, 99, SHAPE).astype(np.int16), GRID.affine),
        "cr": plain_dicom.object(grey, ComputedRadiographyImageStorage, "CR", ViewPosition="PA"),
        "dx": plain_dicom.object(grey, DXImageStorage, "DX", ImagerPixelSpacing=["0.2", "0.2"]),
    }
    for name, source in sources.items():
        for one in source if isinstance(source, list) else [source]:
            one.BodyPartExamined, one.LossyImageCompression = part, "01"
        image = dicom.read(plain_dicom.save(source, tmp_path / name))
        made = dicom.write(image, tmp_path / f"{name}-made", provenance=PROVENANCE)
        check(tool, made / "0001.dcm")


@pytest.mark.parametrize("storage", [ComputedRadiographyImageStorage, DXImageStorage])
@pytest.mark.parametrize(
    "display",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"WindowCenter": "900.5", "WindowWidth": "700", "VOILUTFunction": "SIGMOID"},
        {"RescaleSlope": "0.5", "RescaleIntercept": "-7"},
    ],
)
def test_dciodvfy_finds_no_error_in_a_radiograph_shown_as_its_source(
    tool: Tool, plain_dicom: SimpleNamespace, tmp_path: Path, display: dict[str, str], storage: str
) -> None:
    grey = RNG.integers(0, 4096, (8, 9)).astype(np.uint16)
    source = plain_dicom.object(grey, storage, "DX", ImagerPixelSpacing=["0.2", "0.2"], **display)
    image = dicom.read(plain_dicom.save(source, tmp_path / "source"))
    out = tmp_path / "made.dcm"
    check(tool, dicom.write(image, out, provenance=PROVENANCE, keep_steps=True))


def test_dciodvfy_finds_no_error_in_a_generated_radiograph(tool: Tool, tmp_path: Path) -> None:
    made = tmp_path / "made.dcm"
    text = "Large left pleural effusion."
    assert main(["generate", "--text", text, "--steps", "1", "-o", str(made)]) == 0
    check(tool, made)


def test_dciodvfy_finds_no_error_in_a_report(tool: Tool, reports: dict[str, Path]) -> None:
    for path in reports.values():
        check(tool, path)


def test_dsrdump_reads_the_content_of_a_report(tool: Tool, reports: dict[str, Path]) -> None:
    for name, path in reports.items():
        done = subprocess.run(
            [tool("dsrdump"), "+Pl", str(path)],
            capture_output=True,
            text=True,
            errors="replace",  # what it prints is not always text
            timeout=30,
            check=False,
        )
        assert done.returncode == 0
        assert not re.search("^[EF]: ", done.stderr, re.MULTILINE), done.stderr
        assert "Basic Text SR Document" in done.stdout
        assert 'contains TEXT:(,,"Impression")="Effusion."' in done.stdout
        assert "SYNTHETIC report by medgen" in done.stdout
        assert ("inferred from IMAGE" in done.stdout) == (name == "dx-kept")


def test_dcentvfy_finds_the_instances_consistent(
    tool: Tool, written: dict[str, list[Path]]
) -> None:
    for name in ("ct", "mr", "ct-kept"):
        done = subprocess.run(
            [tool("dcentvfy"), *map(str, written[name])],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert not [line for line in done.stderr.splitlines() if line.startswith("Error")]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, "the server ended at once"
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on {port}")


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def send(tool: Tool, port: int, title: str, files: list[Path]) -> None:
    done = subprocess.run(
        [tool("storescu"), "-aec", title, "127.0.0.1", str(port), *map(str, files)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def storescp(tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A running dcmtk archive: its port and the folder it stores in."""
    folder, port = tmp_path_factory.mktemp("storescp"), free_port()
    process = subprocess.Popen([tool("storescp"), "-od", str(folder), str(port)])
    try:
        wait_for(port, process)
        yield port, folder
    finally:
        stop(process)


def test_storescp_keeps_every_kind(
    tool: Tool,
    storescp: tuple[int, Path],
    written: dict[str, list[Path]],
    reports: dict[str, Path],
) -> None:
    port, folder = storescp
    sent = [path for name in ALL for path in written[name]] + [*reports.values()]
    send(tool, port, "STORESCP", sent)
    stored = [pydicom.dcmread(path) for path in folder.iterdir()]
    assert {one.SOPInstanceUID for one in stored} == {
        pydicom.dcmread(path).SOPInstanceUID for path in sent
    }
    assert {one.SyntheticData for one in stored} == {"YES"}


@pytest.fixture(scope="module")
def orthanc(tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """A running Orthanc that only this machine can reach: its DICOM and its HTTP port."""
    folder, dicom_port, http_port = tmp_path_factory.mktemp("orthanc"), free_port(), free_port()
    settings = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "RemoteAccessAllowed": False,
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": "ORTHANC",
        "DicomAlwaysAllowStore": True,
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [tool("Orthanc"), str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder
        )
    try:
        wait_for(dicom_port, process)
        wait_for(http_port, process)
        yield dicom_port, http_port
    finally:
        stop(process)


def ask(port: int, path: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return bytes(answer.read())


def test_orthanc_keeps_and_shows_every_kind(
    tool: Tool,
    orthanc: tuple[int, int],
    written: dict[str, list[Path]],
    reports: dict[str, Path],
) -> None:
    dicom_port, http_port = orthanc
    sent = [path for name in ALL for path in written[name]] + [*reports.values()]
    send(tool, dicom_port, "ORTHANC", sent)
    instances = json.loads(ask(http_port, "/instances"))
    assert len(instances) == len(sent)
    modalities = set()
    for instance in instances:
        tags = json.loads(ask(http_port, f"/instances/{instance}/tags?short"))
        assert tags["0008,001c"] == "YES"
        modalities.add(tags["0008,0060"])
        if tags["0008,0060"] != "SR":
            assert ask(http_port, f"/instances/{instance}/preview").startswith(b"\x89PNG")
    assert modalities == {"CT", "MR", "DX", "CR", "SR"}
    series = [json.loads(ask(http_port, f"/series/{one}")) for one in _list(http_port, "series")]
    assert all(re.match("SYNTHETIC ", one["MainDicomTags"]["SeriesDescription"]) for one in series)


def _list(port: int, what: str) -> list[str]:
    return list(json.loads(ask(port, f"/{what}")))
