"""Content is told by magic bytes, gzip or not, whatever the name says."""

import gzip
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medgen.errors import InputError
from medgen.io.sniff import header_of, image_of, nifti_version, sniff

NIFTI_1 = bytes(344) + b"n+1\0"
NIFTI_2 = b"\x1c\x02\0\0n+2\0\r\n\x1a\n" + bytes(528)
DICOM = bytes(128) + b"DICM" + bytes(20)
BARE_EXPLICIT = b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + bytes(200)
BARE_IMPLICIT = b"\x08\0\0\0\x04\0\0\0" + bytes(200)

CASES = {
    "NIfTI-1": (NIFTI_1, "nifti"),
    "NIfTI-1 pair": (bytes(344) + b"ni1\0", "nifti"),
    "NIfTI-2": (NIFTI_2, "nifti"),
    "NIfTI-1, gzip": (gzip.compress(NIFTI_1), "nifti"),
    "NIfTI-2, gzip": (gzip.compress(NIFTI_2), "nifti"),
    "DICOM": (DICOM, "dicom"),
    "DICOM without preamble, explicit": (BARE_EXPLICIT, "dicom"),
    "DICOM without preamble, implicit": (BARE_IMPLICIT, "dicom"),
    "DICOM, gzip": (gzip.compress(DICOM), "gzip"),
    "text, gzip": (gzip.compress(b"words"), "gzip"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(30), "png"),
    "JPEG": (b"\xff\xd8\xff\xe0" + bytes(30), "jpeg"),
    "zip": (b"PK\x03\x04" + bytes(30), "zip"),
    "empty zip": (b"PK\x05\x06" + bytes(18), "zip"),
    "Analyze": (b"\x5c\x01\0\0" + bytes(344), "analyze"),
    "Analyze, big-endian": (b"\0\0\x01\x5c" + bytes(344), "analyze"),
    "empty": (b"", "unknown"),
    "text": (b"hello", "unknown"),
    "almost DICOM": (b"\x08\0" + bytes(range(200)), "unknown"),
    "zeros": (bytes(600), "unknown"),
}


@pytest.mark.parametrize(("content", "kind"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("name", ["a.nii.gz", "a.dcm", "a"])
def test_content_is_told_by_its_bytes(tmp_path: Path, content: bytes, kind: str, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert sniff(tmp_path / name) == kind


def test_the_image_half_is_told_by_its_header(tmp_path: Path) -> None:
    voxels = np.zeros((2, 2, 2), np.int16)
    nibabel.Nifti1Pair(voxels, np.eye(4)).to_filename(tmp_path / "a.img")
    nibabel.Nifti2Pair(voxels, np.eye(4)).to_filename(tmp_path / "b.img.gz")
    for name, ending in (("a", ""), ("b", ".gz")):
        image, header = tmp_path / f"{name}.img{ending}", tmp_path / f"{name}.hdr{ending}"
        assert sniff(image) == sniff(header) == "nifti"
        assert (header_of(image), image_of(header)) == (header, image)


def test_a_half_without_its_other_is_itself(tmp_path: Path) -> None:
    for name in ("a.img", "a.hdr", "a.nii"):
        assert header_of(tmp_path / name) == image_of(tmp_path / name) == tmp_path / name


def test_a_folder_is_dicom_if_anything_below_it_is(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "readme.txt").write_text("scans")
    assert sniff(tmp_path) == "unknown"
    (tmp_path / "a" / "b" / "IM0001").write_bytes(DICOM)
    assert sniff(tmp_path) == "dicom"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none: there is no such file"):
        sniff(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"pipe: is not a regular file"):
        sniff(tmp_path / "pipe")


def test_versions_are_told_apart() -> None:
    assert [nifti_version(head) for head in (NIFTI_1, NIFTI_2, DICOM, b"")] == [1, 2, 0, 0]
