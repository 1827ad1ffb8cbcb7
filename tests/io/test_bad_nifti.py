"""A NIfTI file that is damaged or lies is refused in one line, soon, and in little memory."""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header

from medgen.errors import GeometryError, InputError, MedgenError, UsageError
from medgen.io import files
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.io.nifti import read

SHAPE = (8, 9, 10)
VOXELS = np.random.default_rng(0).integers(-1000, 2000, SHAPE).astype("<i2")
AFFINE = np.array([[0, 0, -2.5, 20], [-0.7, 0, 0, 3], [0, 0.6, 0, -1], [0, 0, 0, 1.0]])


def nii(body: bytes | None = None, *, version: int = 1, **fields: object) -> bytes:
    """A plain file with header fields set to anything, checked by nobody."""
    header = (Nifti1Header if version == 1 else Nifti2Header)()
    header.set_data_shape(SHAPE)
    header.set_data_dtype(np.int16)
    header.set_qform(AFFINE, 1)
    header.set_sform(AFFINE, 1)
    header["vox_offset"] = 352 if version == 1 else 544
    for name, value in fields.items():
        header[name] = value
    body = VOXELS.tobytes(order="F") if body is None else body
    return header.binaryblock + bytes(4) + body


def dims(*lengths: int) -> np.ndarray:
    return np.array([*lengths, *[1] * (8 - len(lengths))])


def pixdims(*lengths: float) -> np.ndarray:
    return np.array([*lengths, *[1] * (8 - len(lengths))])


def flipped(stored: bytes, position: int) -> bytes:
    changed = bytearray(stored)
    changed[position] ^= 0x20
    return bytes(changed)


def bomb(head: bytes, size: int) -> bytes:
    """A gzip file of `head` and `size` zeros: one member, then many equal ones."""
    member = 2**23
    return gzip.compress(head) + gzip.compress(bytes(member)) * (size // member)


GOOD = nii()
PACKED = gzip.compress(GOOD, 6)
FLOATS = np.where(np.arange(VOXELS.size) == 5, np.nan, 1.0).astype("<f4").tobytes()
FLOAT = {"datatype": 16, "bitpix": 32}
UNSET = {"sform_code": 0, "qform_code": 0}
BIG = (1, 500, 500, 900)  # int16: 450 MB

BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty.nii": (lambda: b"", "is empty"),
    "noise.nii": (lambda: np.random.default_rng(2).bytes(5000), "is not NIfTI"),
    "noise.nii.gz": (lambda: b"\x1f\x8b" + bytes(range(99)), "is gzip data but not NIfTI"),
    "text.nii": (lambda: b"not found\n", "is not NIfTI"),
    "magic.nii": (lambda: nii(magic=b"n+9"), "Analyze|is not NIfTI"),
    "size of header.nii": (lambda: b"\0\0\0\0" + GOOD[4:], "NIfTI header is damaged"),
    "header only.nii": (lambda: GOOD[:348], "cut short"),
    "half a header.nii2": (lambda: nii(version=2)[:400], "header is damaged"),
    "truncated.nii": (lambda: GOOD[:-1], "cut short"),
    "truncated.nii.gz": (lambda: PACKED[:-200], "gzip data is damaged"),
    "no trailer.nii.gz": (lambda: PACKED[:-8], "gzip data is damaged"),
    "short inside.nii.gz": (lambda: gzip.compress(GOOD[:-1]), "cut short"),
    "flipped.nii.gz": (lambda: flipped(PACKED, 900), "gzip data is damaged"),
    "checksum.nii.gz": (lambda: flipped(PACKED, len(PACKED) - 7), "gzip data is damaged"),
    "length.nii.gz": (lambda: flipped(PACKED, len(PACKED) - 2), "gzip data is damaged"),
    "zip.nii": (lambda: b"PK\x03\x04" + bytes(60), "unzip it first"),
    "zero.nii": (lambda: nii(dim=dims(3, 8, 0, 10)), "impossible dimensions 8 x 0 x 10"),
    "negative.nii": (lambda: nii(dim=dims(3, -8, 9, 10)), "impossible dimensions"),
    "two negative.nii": (lambda: nii(dim=dims(3, -8, -9, 10)), "impossible dimensions"),
    "huge.nii": (lambda: nii(dim=dims(3, 30000, 30000, 30000)), "resample it to fewer"),
    "huge.nii2": (lambda: nii(version=2, dim=dims(3, 2**62, 2**62, 4)), "resample it to fewer"),
    "large.nii": (lambda: nii(dim=dims(3, 1000, 1000, 1000)), "cut short"),
    "large.nii.gz": (
        lambda: gzip.compress(nii(dim=dims(3, 1000, 1000, 1000))),
        "claim to unpack to",
    ),
    "smaller.nii": (lambda: nii(bytes(9000), dim=dims(3, 8, 9, 3)), "more than its header"),
    "more.nii.gz": (lambda: gzip.compress(GOOD + bytes(9000)), "more than its header"),
    "axes 0.nii": (lambda: nii(dim=dims(0, 8, 9, 10)), "declares 0 dimensions"),
    "axes 9.nii": (lambda: nii(dim=dims(9, 8, 9, 10)), "declares 9 dimensions"),
    "flat.nii": (lambda: nii(dim=dims(2, 80, 9)), "is 2-D"),
    "5-D.nii": (lambda: nii(dim=dims(5, 8, 9, 5, 1, 2)), "is 5-D"),
    "RGB.nii": (lambda: nii(datatype=128, bitpix=24), "RGB colour"),
    "RGBA.nii": (lambda: nii(datatype=2304, bitpix=32), "RGBA colour"),
    "complex.nii": (lambda: nii(datatype=32, bitpix=64), "complex voxels"),
    "type.nii": (lambda: nii(datatype=77), "unknown data type 77"),
    "bits.nii": (lambda: nii(datatype=16, bitpix=16), "data type 16 with 16 bits"),
    "offset.nii": (lambda: nii(vox_offset=100), "start at byte 100"),
    "NaN offset.nii": (lambda: nii(vox_offset=np.nan), "start at byte nan"),
    "far offset.nii": (lambda: nii(vox_offset=1e15), "start at byte 1e"),
    "slope.nii": (lambda: nii(scl_slope=np.inf, scl_inter=0), "scales its voxels by inf"),
    "inter.nii": (lambda: nii(scl_slope=2, scl_inter=np.nan), "by 2.0 and nan"),
    "singular.nii": (lambda: nii(srow_y=[1e-9, 1e-9, -2.5, 0]), "spacing|singular"),
    "parallel.nii": (
        lambda: nii(srow_x=[1, 1, 0, 0], srow_y=[1, 1, 0, 0], srow_z=[0, 0, 1, 0]),
        "singular",
    ),
    "NaN sform.nii": (lambda: nii(srow_z=[0, 0.6, 0, np.nan]), "NaN or infinite"),
    "NaN qform.nii": (lambda: nii(sform_code=0, quatern_b=np.nan), "NaN|qform is damaged"),
    "quaternion.nii": (lambda: nii(sform_code=0, quatern_b=2), "qform is damaged"),
    "kilometres.nii": (lambda: nii(xyzt_units=1, srow_x=[0, 0, 9, 0]), "mm is impossible"),
    "unit.nii": (lambda: nii(xyzt_units=5), "unknown length unit 5"),
    "no spacing.nii": (lambda: nii(**UNSET, pixdim=pixdims(1, 0, 1, 1)), "not positive"),
    "negative spacing.nii": (lambda: nii(**UNSET, pixdim=pixdims(1, 1, -1, 1)), "not positive"),
    "NaN spacing.nii": (lambda: nii(**UNSET, pixdim=pixdims(1, 1, np.nan, 1)), "not positive"),
    "constant.nii": (lambda: nii(bytes(VOXELS.nbytes)), "every voxel is 0"),
    "NaN voxel.nii": (lambda: nii(FLOATS, **FLOAT), "NaN or infinite voxels"),
    "overflow.nii": (lambda: nii(scl_slope=3e38, scl_inter=0), "NaN or infinite voxels"),
    "no image.hdr": (lambda: nii(b"", magic=b"ni1", vox_offset=0), r"\.img .* is missing"),
    "no header.img": (lambda: VOXELS.tobytes(), "is not NIfTI"),
    "bomb.nii.gz": (lambda: bomb(nii(b"", dim=dims(3, *BIG[1:])), 450 * 2**20), "bomb"),
    "bomb behind.nii.gz": (lambda: bomb(GOOD, 400 * 2**20), "more than its header"),
    "bomb offset.nii.gz": (
        lambda: bomb(nii(b"", vox_offset=2.0**31), 400 * 2**20),
        "start at byte",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("bad")
    for name, (content, _) in BAD.items():
        (where / name).write_bytes(content())
    return where


@pytest.mark.parametrize("name", BAD)
def test_it_is_refused_with_its_name_and_the_fault(folder: Path, name: str) -> None:
    with pytest.raises(InputError, match=BAD[name][1]) as caught:
        files.read(folder / name)
    message = str(caught.value)
    assert message.startswith(f"{folder / name}: ")
    assert "\n" not in message
    assert re.search(r"[;,] ", message)  # the fault, then the remedy
    assert caught.value.exit_code == 4
    assert {path.name for path in folder.iterdir()} == set(BAD)


def test_all_of_them_take_little_time_and_memory(folder: Path) -> None:
    code = """if True:
        import json, sys, time
        from pathlib import Path
        from medgen.errors import InputError
        from medgen.io import files
        seconds = {}
        for path in sorted(Path(sys.argv[1]).iterdir()):
            start = time.monotonic()
            try:
                files.read(path)
            except InputError:
                seconds[path.name] = time.monotonic() - start
        status = Path("/proc/self/status").read_text()  # getrusage counts the parent's memory in
        memory = int(status.partition("VmHWM:")[2].split()[0])
        print(json.dumps({"kilobytes": memory, "seconds": seconds}))
    """
    done = subprocess.run(
        [sys.executable, "-c", code, folder],
        capture_output=True,
        check=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    cost = json.loads(done.stdout)
    assert done.stderr == ""
    assert cost["seconds"].keys() == BAD.keys()
    assert max(cost["seconds"].values()) < 5
    assert cost["kilobytes"] < 500_000


def test_affines_are_geometry_errors_and_choices_are_usage_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    path.write_bytes(nii(srow_z=[0, np.nan, 0, 0]))
    with pytest.raises(GeometryError, match=r"a\.nii: the affine has NaN"):
        read(path)
    path.write_bytes(nii(dim=dims(4, 8, 9, 5, 2)))
    with pytest.raises(UsageError, match="--frame 0 to 1"):
        read(path)


def test_a_short_last_frame_is_noticed_whatever_frame_is_asked(tmp_path: Path) -> None:
    for name, stored in (
        ("a.nii", nii(dim=dims(4, 8, 9, 5, 3))),
        ("a.nii.gz", gzip.compress(nii(dim=dims(4, 8, 9, 5, 3)))),
    ):
        (tmp_path / name).write_bytes(stored)
        with pytest.raises(InputError, match="cut short"):
            read(tmp_path / name, frame=0)


def test_the_cap_on_voxels_is_the_callers(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    path.write_bytes(GOOD)
    assert read(path, max_voxels=720).voxels.size == 720
    with pytest.raises(InputError, match="more than 719; if that is true, resample it to fewer"):
        read(path, max_voxels=719)


def test_a_flip_anywhere_in_gzip_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    wanted = Geometry(np.float32(AFFINE).astype(float))
    for position in range(0, len(PACKED), 5):
        path.write_bytes(flipped(PACKED, position))
        with suppress(InputError):
            image = files.read(path)
            assert np.array_equal(image.voxels, VOXELS)
            assert np.array_equal(image.geometry.affine, wanted.affine)


def test_a_cut_anywhere_is_noticed(tmp_path: Path) -> None:
    for name, stored in (("a.nii", GOOD), ("a.nii.gz", PACKED)):
        path = tmp_path / name
        for length in range(0, len(stored), 37):
            path.write_bytes(stored[:length])
            with pytest.raises(InputError, match=re.escape(name)):
                files.read(path)


@settings(max_examples=250, deadline=None)
@given(
    changes=st.dictionaries(
        st.integers(0, 351), st.integers(0, 255) | st.sampled_from([0, 1, 0x7F, 0xFF]), max_size=6
    ),
    version=st.sampled_from([1, 2]),
    frame=st.none() | st.integers(0, 2),
)
def test_no_header_makes_it_stumble(
    tmp_path_factory: pytest.TempPathFactory,
    changes: dict[int, int],
    version: int,
    frame: int | None,
) -> None:
    stored = bytearray(nii(version=version))
    for position, value in changes.items():
        stored[position] = value
    path = tmp_path_factory.getbasetemp() / "fuzz.nii"
    path.write_bytes(stored)
    message = ""
    try:
        assert isinstance(read(path, frame=frame), MedicalImage)
    except MedgenError as error:
        message = str(error)
    assert not message or (message.startswith(f"{path}: ") and "\n" not in message)
