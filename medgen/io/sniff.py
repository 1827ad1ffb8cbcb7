"""What a file is, told by its first bytes and never by its name alone."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from medgen.errors import InputError
from medgen.io.stream import GZIP, peek

Content = Literal["nifti", "dicom", "png", "jpeg", "zip", "gzip", "analyze", "unknown"]
HEAD = 544  # the longest header to look at: NIfTI-2
MAX_FILES = 10_000  # looked at in a folder before giving up
_NIFTI1 = (b"n+1\0", b"ni1\0")
_NIFTI2 = (b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n")
_MAGIC: dict[bytes, Content] = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # an empty archive
}
_FIRST_ELEMENTS = (b"\0\0", b"\x01\0", b"\x05\0", b"\x08\0", b"\x16\0", b"\x18\0")
_VR = "AE AS AT CS DA DS DT FD FL IS LO LT OB OW PN SH SL SQ SS ST TM UI UL UN US UT"


def sniff(path: Path) -> Content:
    """Tell what a file or folder holds.

    A folder is `dicom` as soon as one file in it, or in a folder below, is. The image half of a
    NIfTI pair has no magic of its own and is told by its header file.

    Raises:
        InputError: If there is nothing at `path`, or it cannot be opened.
    """
    if path.is_dir():
        found = any(sniff_file(file) == "dicom" for file in islice(_files(path), MAX_FILES))
        return "dicom" if found else "unknown"
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    if not path.is_file():
        raise InputError(f"{path}: is not a regular file; save it to disk first")
    return sniff_file(path)


def sniff_file(path: Path) -> Content:
    """Tell what one regular file holds.

    Raises:
        InputError: If it cannot be opened.
    """
    head = peek(path, HEAD)
    for magic, content in _MAGIC.items():
        if head.startswith(magic):
            return content
    if nifti_version(head) or (header_of(path) != path and nifti_version(peek_header(path))):
        return "nifti"
    if head[128:132] == b"DICM" or _looks_like_bare_dicom(head):
        return "gzip" if peek_raw(path) == GZIP else "dicom"
    if head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c"):  # 348, the size of the header
        return "analyze"
    return "gzip" if peek_raw(path) == GZIP else "unknown"


def nifti_version(head: bytes) -> Literal[0, 1, 2]:
    """1 or 2 if the bytes begin a NIfTI header of that version, else 0."""
    if head[344:348] in _NIFTI1:
        return 1
    return 2 if head[4:12] in _NIFTI2 else 0


def header_of(path: Path) -> Path:
    """The file with the header: `x.hdr` for `x.img` where it exists, else `path` itself."""
    return _partner(path, ".img", ".hdr")


def image_of(path: Path) -> Path:
    """The file with the voxels: `x.img` for `x.hdr` where it exists, else `path` itself."""
    return _partner(path, ".hdr", ".img")


def _partner(path: Path, own: str, other: str) -> Path:
    bare = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    if bare.suffix.lower() != own:
        return path
    other = other.upper() if bare.suffix.isupper() else other
    plain = bare.with_suffix(other)
    choices = (plain, plain.with_name(plain.name + ".gz"))
    return next((choice for choice in choices if choice.is_file()), path)


def peek_header(path: Path) -> bytes:
    """The first bytes of the file that has the header."""
    return peek(header_of(path), HEAD)


def peek_raw(path: Path) -> bytes:
    """The first two bytes as stored."""
    with path.open("rb") as file:
        return file.read(2)


def _looks_like_bare_dicom(head: bytes) -> bool:
    """Whether a file without preamble starts with an element of group 2 or 8, as old ones do."""
    if len(head) < 132 or head[:2] not in (b"\x02\0", b"\x08\0"):
        return False
    is_explicit = head[4:6].decode("latin-1") in _VR.split()
    is_implicit = head[2:4] in _FIRST_ELEMENTS and head[5:8] == b"\0\0\0"
    return is_explicit or is_implicit


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders.sort()
        yield from (p for name in sorted(names) if (p := Path(where, name)).is_file())
