"""Bad DICOM ends in one line that names the file and the remedy: quickly, in little memory."""

import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from medgen.errors import GeometryError, InputError, MedgenError
from medgen.io import dicom
from medgen.io.dicom import series as dicom_series

HU = np.random.default_rng(0).integers(-1000, 2000, (6, 5, 6)).astype(np.int16)
AFFINE = np.array([[-0.5, 0, 0, 20], [0, -0.7, 0, 30], [0, 0, 3.0, -40], [0, 0, 0, 1]])


def refused(path: Path, reason: str, kind: type[MedgenError] = InputError) -> str:
    """The one line that reading ends with."""
    with pytest.raises(kind, match=reason) as caught:
        dicom.read(path)
    text = str(caught.value)
    assert caught.value.exit_code == 4
    assert "\n" not in text
    assert str(path) in text
    assert len(text.removeprefix(str(path))) < 400
    return text


def without_one(slices: list[Dataset]) -> list[Dataset]:
    return slices[:3] + slices[4:]


def doubled(slices: list[Dataset]) -> list[Dataset]:
    return [*slices, slices[2]]


def moved(slices: list[Dataset]) -> list[Dataset]:
    slices[3].ImagePositionPatient[2] += 0.5
    return slices


def shifted(slices: list[Dataset]) -> list[Dataset]:
    slices[3].ImagePositionPatient[0] += 0.5
    return slices


def tilted(slices: list[Dataset]) -> list[Dataset]:
    for k, one in enumerate(slices):
        one.ImagePositionPatient[1] += k * 3.0 * np.tan(np.radians(12))
    return slices


def turned(slices: list[Dataset]) -> list[Dataset]:
    slices[-1].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    return slices


def resized(slices: list[Dataset]) -> list[Dataset]:
    slices[-1].Rows, slices[-1].Columns = slices[-1].Columns, slices[-1].Rows
    return slices


def reframed(slices: list[Dataset]) -> list[Dataset]:
    slices[-1].FrameOfReferenceUID = "1.2.3.4.99"
    return slices


def unplaced(slices: list[Dataset]) -> list[Dataset]:
    del slices[-1].ImagePositionPatient
    return slices


def emptied(slices: list[Dataset]) -> list[Dataset]:
    slices[-1].Rows = 0
    return slices


SERIES = [
    (without_one, "1 slice is missing between"),
    (doubled, "duplicate slices"),
    (moved, "unevenly spaced"),
    (shifted, "0.500 mm off the line|tilted"),
    (tilted, "tilted by 12.0 degrees"),
    (turned, "mixes slices"),
    (resized, "mixes slices"),
    (reframed, "mixes slices"),
    (unplaced, "does not say where it lies"),
    (emptied, "holds no image"),
]


@pytest.mark.parametrize(("spoil", "reason"), SERIES, ids=[spoil.__name__ for spoil, _ in SERIES])
def test_a_bad_series_is_refused(
    tmp_path: Path,
    plain_dicom: SimpleNamespace,
    spoil: Callable[[list[Dataset]], list[Dataset]],
    reason: str,
) -> None:
    slices = plain_dicom.slices(HU, AFFINE)
    refused(plain_dicom.save(spoil(slices), tmp_path / "ct"), reason)


def test_half_a_degree_of_tilt_is_read_where_it_lies(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    slices = plain_dicom.slices(HU, AFFINE)
    for k, one in enumerate(slices):
        one.ImagePositionPatient[1] += k * 3.0 * np.tan(np.radians(0.4))
    image = dicom.read(plain_dicom.save(slices, tmp_path / "ct"))
    assert np.allclose(image.geometry.affine[1, 2], -3 * np.tan(np.radians(0.4)))


def lying_rows(one: Dataset) -> None:
    one.Rows = 60000


def few_rows(one: Dataset) -> None:
    one.Rows = 3


def lying_frames(one: Dataset) -> None:
    one.NumberOfFrames = 1_000_000


def truncated(one: Dataset) -> None:
    one.PixelData = one.PixelData[:-6]


def no_pixels(one: Dataset) -> None:
    del one.PixelData


def strange_bits(one: Dataset) -> None:
    one.BitsAllocated = one.BitsStored = 12


def zero_spacing(one: Dataset) -> None:
    one.PixelSpacing = ["0", "0.5"]


def huge_spacing(one: Dataset) -> None:
    one.PixelSpacing = ["5000", "0.5"]


def nan_position(one: Dataset) -> None:
    with pydicom.config.disable_value_validation():
        one.ImagePositionPatient = ["nan", "0", "0"]


def crooked(one: Dataset) -> None:
    one.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]


def long_cosines(one: Dataset) -> None:
    one.ImageOrientationPatient = [2, 0, 0, 0, 2, 0]


def zero_slope(one: Dataset) -> None:
    one.RescaleSlope = "0"


def words_for_numbers(one: Dataset) -> None:
    with pydicom.config.disable_value_validation():
        one.add_new("RescaleSlope", "LO", "Jane Doe")


def constant(one: Dataset) -> None:
    one.PixelData = bytes(len(one.PixelData))


FILES = [
    (lying_rows, "truncated"),
    (few_rows, "bytes more"),
    (lying_frames, "frames"),
    (truncated, "truncated"),
    (no_pixels, "no pixel data"),
    (strange_bits, "12 of 12 bits"),
    (zero_spacing, "PixelSpacing"),
    (huge_spacing, "impossible"),
    (nan_position, "ImagePositionPatient"),
    (crooked, "perpendicular"),
    (long_cosines, "unit vectors"),
    (zero_slope, "RescaleSlope is 0"),
    (words_for_numbers, "damaged"),
    (constant, "every voxel is 0"),
]


@pytest.mark.filterwarnings("ignore:Invalid value for VR DS")
@pytest.mark.parametrize(("spoil", "reason"), FILES, ids=[spoil.__name__ for spoil, _ in FILES])
def test_a_bad_file_is_refused(
    tmp_path: Path, plain_dicom: SimpleNamespace, spoil: Callable[[Dataset], None], reason: str
) -> None:
    one = plain_dicom.slices(HU, AFFINE)[0]
    spoil(one)
    assert "Doe" not in refused(plain_dicom.save(one, tmp_path / "slice.dcm"), reason)


def test_a_good_file_cut_anywhere_is_refused_or_whole(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    whole = plain_dicom.save(plain_dicom.slices(HU, AFFINE)[0], tmp_path / "s.dcm").read_bytes()
    path = tmp_path / "cut.dcm"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            dicom.read(path)


@pytest.mark.parametrize("seed", range(3))
def test_flipped_bytes_never_end_in_a_traceback(
    tmp_path: Path, plain_dicom: SimpleNamespace, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    one = plain_dicom.slices(HU, AFFINE)[0]
    if seed == 2:
        one.compress(RLELossless)
    whole = plain_dicom.save(one, tmp_path / "s.dcm").read_bytes()
    path = tmp_path / "flipped.dcm"
    for _ in range(150):
        spoilt = np.frombuffer(whole, np.uint8).copy()
        where = rng.integers(132, len(whole), rng.integers(1, 6))
        spoilt[where] = rng.integers(0, 256, len(where))
        path.write_bytes(spoilt.tobytes())
        with suppress(MedgenError):
            assert np.isfinite(dicom.read(path).voxels).all()


def test_what_is_not_dicom_is_said_so(tmp_path: Path) -> None:
    for name, content in (("empty.dcm", b""), ("junk.dcm", bytes(5000)), ("a.zip", b"PK\x03\x04")):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, "not DICOM")
    refused(tmp_path / "absent", "does not exist")


def test_a_folder_with_a_broken_slice_is_not_read_without_it(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    folder = plain_dicom.save(plain_dicom.slices(HU, AFFINE), tmp_path / "ct")
    (folder / "last.dcm").write_bytes(b"")
    assert "last.dcm" in refused_below(folder)


@pytest.mark.parametrize("fault", ["empty", "without its preamble"])
def test_a_series_that_was_not_copied_whole_is_not_read_without_its_end(
    tmp_path: Path, plain_dicom: SimpleNamespace, fault: str
) -> None:
    """Files without a suffix, as scanners export them; a gap would be seen, a missing end not."""
    *kept, last = plain_dicom.slices(HU, AFFINE)
    folder = plain_dicom.save(kept, tmp_path / "ct")
    plain_dicom.save(last, folder / "IM999")
    whole = (folder / "IM999").read_bytes()
    (folder / "IM999").write_bytes(b"" if fault == "empty" else whole[132:])
    (folder / ".hidden").write_bytes(b"")
    assert f"IM999: is {'empty' if fault == 'empty' else 'DICOM without its preamble'}" in (
        refused_below(folder)
    )
    (folder / "IM999").unlink()
    assert dicom.read(folder).voxels.shape[2] == len(kept)


def refused_below(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        dicom.read(folder)
    return str(caught.value)


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    refused(tmp_path, "holds no DICOM")


def test_a_folder_of_far_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        (tmp_path / f"{number}").touch()
    monkeypatch.setattr(dicom_series, "MAX_FILES", 10)
    refused(tmp_path, "over 10 files")


@pytest.mark.parametrize(
    ("syntax", "reason"),
    [
        ("1.2.3.4.5", "unknown"),
        ("1.2.840.10008.1.2.4.999", "unknown"),
        ("1.2.840.10008.5.1.4.1.1.2", "unknown"),
        ("1.2.840.10008.1.2.4.102", "MPEG|cannot read"),
        ("1.2.840.10008.1.2.4.90", "damaged"),
        ("1.2.840.10008.1.2.5", "damaged"),
    ],
)
def test_a_transfer_syntax_that_cannot_be_is_refused(
    tmp_path: Path, plain_dicom: SimpleNamespace, syntax: str, reason: str
) -> None:
    path = plain_dicom.save(plain_dicom.slices(HU, AFFINE)[0], tmp_path / "slice.dcm")
    real = b"1.2.840.10008.1.2.1\0"
    padded = syntax.encode() + b"\0" * (len(syntax) % 2)
    tag = b"\x02\x00\x10\x00UI"
    whole = path.read_bytes()
    for old, new in ((real, padded),):
        before = tag + len(old).to_bytes(2, "little") + old
        assert before in whole
        whole = whole.replace(before, tag + len(new).to_bytes(2, "little") + new)
    path.write_bytes(whole)
    refused(path, reason)


def test_a_message_stays_one_line_whatever_the_file_says(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    path = plain_dicom.save(plain_dicom.slices(HU, AFFINE)[0], tmp_path / "slice.dcm")
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008\n1.2.1\0"))
    refused(path, r"10008\?1\.2\.1 is unknown")


def test_other_kinds_of_objects_are_named(tmp_path: Path, plain_dicom: SimpleNamespace) -> None:
    one = plain_dicom.slices(HU, AFFINE)[0]
    one.SOPClassUID = pydicom.uid.PositronEmissionTomographyImageStorage
    refused(plain_dicom.save(one, tmp_path / "pet.dcm"), "Positron Emission")


def test_more_voxels_than_allowed_are_refused(tmp_path: Path, plain_dicom: SimpleNamespace) -> None:
    folder = plain_dicom.save(plain_dicom.slices(HU, AFFINE), tmp_path / "ct")
    with pytest.raises(InputError, match="resample it to fewer"):
        dicom.read(folder, max_voxels=179)
    assert dicom.read(folder, max_voxels=180).voxels.size == 180


def test_a_deflated_slice_is_read(tmp_path: Path, plain_dicom: SimpleNamespace) -> None:
    one = plain_dicom.slices(HU, AFFINE)[0]
    one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    image = dicom.read(plain_dicom.save(one, tmp_path / "slice.dcm"))
    assert np.array_equal(image.voxels, HU[:, :, :1])


def deflate_bomb(plain_dicom: SimpleNamespace, path: Path) -> Path:
    """A file of 0.8 MB whose data set inflates to 800 MB."""
    one = plain_dicom.slices(HU, AFFINE)[0]
    one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    whole = plain_dicom.save(one, path).read_bytes()
    length = pydicom.filereader.read_file_meta_info(path).FileMetaInformationGroupLength
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    element = b"\x09\x00\x10\x00UN\0\0" + (800_000_000).to_bytes(4, "little")
    packed = packer.compress(element) + packer.flush(zlib.Z_FULL_FLUSH)
    packed += 800 * (packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH))
    packed += packer.flush()
    path.write_bytes(whole[: 144 + length] + packed)
    return path


def jpeg_bomb(plain_dicom: SimpleNamespace, path: Path) -> Path:
    """A file with a small JPEG 2000 frame that says it has 900 million pixels."""
    one = plain_dicom.slices(np.tile(HU, (20, 20, 1)), AFFINE)[0]
    one.compress(RLELossless)
    one.file_meta.TransferSyntaxUID = JPEG2000Lossless
    one.Rows = one.Columns = 30000
    return plain_dicom.save(one, path)


def deep_sequences(plain_dicom: SimpleNamespace, path: Path) -> Path:
    """A file with 3000 sequences inside each other."""
    one = plain_dicom.slices(HU, AFFINE)[0]
    whole = plain_dicom.save(one, path).read_bytes()
    opening = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    place = whole.index(b"\xe0\x7f\x10\x00")
    path.write_bytes(whole[:place] + opening * 3000)
    return path


def padded_file(plain_dicom: SimpleNamespace, path: Path) -> Path:
    """A sparse file of 20 GB around a slice of 60 bytes."""
    plain_dicom.save(plain_dicom.slices(HU, AFFINE)[0], path)
    with path.open("r+b") as file:
        file.truncate(20_000_000_000)
    return path


def huge_frames(plain_dicom: SimpleNamespace, path: Path) -> Path:
    """A radiograph that says it has two thousand million frames."""
    grey = np.arange(64, dtype=np.uint16).reshape(8, 8)
    one = plain_dicom.object(grey, ComputedRadiographyImageStorage, "CR", NumberOfFrames=2**31 - 1)
    return plain_dicom.save(one, path)


def lying_length(plain_dicom: SimpleNamespace, path: Path) -> Path:
    """A file whose first private element says it has 4 GB."""
    one = plain_dicom.slices(HU, AFFINE)[0]
    one.private_block(0x0009, "X", create=True).add_new(1, "OB", b"12345678")
    whole = plain_dicom.save(one, path).read_bytes()
    mark = b"OB\0\0\x08\0\0\0" + b"12345678"
    assert mark in whole
    path.write_bytes(whole.replace(mark, b"OB\0\0\xf0\xff\xff\xff12345678"))
    return path


BOMBS = [deflate_bomb, jpeg_bomb, deep_sequences, padded_file, huge_frames, lying_length]
CHILD = """
import json, sys, time
from pathlib import Path
from medgen.errors import MedgenError
from medgen.io import dicom
ends = []
for path in sys.argv[1:]:
    start = time.process_time()
    try:
        dicom.read(Path(path))
        fault, code = "read", 0
    except MedgenError as error:
        fault, code = str(error), error.exit_code
    status = Path("/proc/self/status").read_text()  # getrusage counts the parent's memory in
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    ends.append([fault, code, time.process_time() - start, peak])
print(json.dumps(ends))
"""


def test_bombs_cost_little_time_and_memory(tmp_path: Path, plain_dicom: SimpleNamespace) -> None:
    paths = [bomb(plain_dicom, tmp_path / f"{bomb.__name__}.dcm") for bomb in BOMBS]
    command = [sys.executable, "-c", CHILD, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    for path, (fault, code, seconds, megabytes) in zip(paths, json.loads(done.stdout), strict=True):
        assert code in (2, 4), fault
        assert str(path) in fault
        assert "\n" not in fault
        assert seconds < 5
        assert megabytes < 500


def test_a_nested_sequence_is_not_a_fault(tmp_path: Path, plain_dicom: SimpleNamespace) -> None:
    one = plain_dicom.slices(HU, AFFINE)[0]
    inner = Dataset()
    for _ in range(20):
        outer = Dataset()
        outer.RequestAttributesSequence = Sequence([inner])
        inner = outer
    one.RequestAttributesSequence = Sequence([inner])
    assert one.SOPClassUID == CTImageStorage
    assert dicom.read(plain_dicom.save(one, tmp_path / "slice.dcm")).voxels.shape == (6, 5, 1)


def test_a_geometry_error_is_an_input_error() -> None:
    assert issubclass(GeometryError, InputError)
