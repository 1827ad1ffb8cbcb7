"""Open a DICOM file that nobody vouches for: bounded memory, known syntax, one-line errors."""

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from pydicom import config, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from medgen.errors import InputError

MAX_INFLATED = 128 * 2**20  # bytes; one deflated object is one slice or radiograph, < 70 MB
MAX_HEADER = 64 * 2**20  # bytes a file may hold beyond its pixels
CHUNK = 2**20
FAULTS = (  # what pydicom raises, somewhere, on some damaged file
    ArithmeticError,
    BytesLengthException,
    AttributeError,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@contextmanager
def damage_refused(path: Path) -> Iterator[None]:
    """Turn whatever pydicom raises inside into one line that names the file.

    pydicom's own texts and warnings are dropped: they quote values, and values name patients.

    Raises:
        InputError: If anything inside fails.
    """
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    except FAULTS as fault:
        kind = type(fault).__name__
        raise InputError(f"{path}: is damaged DICOM ({kind}); export it again") from None


def is_dicom(path: Path) -> bool:
    """Tell by content: the letters DICM after a preamble of 128 bytes.

    Raises:
        InputError: If the file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError as fault:
        raise InputError(f"{path}: cannot be read ({fault.strerror})") from None


def quoted(value: object, length: int = 64) -> str:
    """Make a value from a file fit for one line of a message.

    Example:
        >>> quoted("MONO" + chr(10) + "CHROME2 ", 8)
        'MONO?CHR'
    """
    text = str(value).rstrip("\0 ")[:length]
    return "".join(one if one.isascii() and one.isprintable() else "?" for one in text)


def sha256(path: Path) -> str:
    """Hash a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def transfer_syntax(path: Path) -> UID:
    """Say how the file is encoded.

    Raises:
        InputError: If it is not DICOM, or does not say, or says something nobody knows.
    """
    if not is_dicom(path):
        raise InputError(f"{path}: is not DICOM, or lacks its preamble; rewrite it with dcmconv")
    with damage_refused(path):
        syntax = UID(str(read_file_meta_info(path).get("TransferSyntaxUID", "")))
    if not syntax:
        raise InputError(f"{path}: names no transfer syntax; repair it with dcmconv or gdcmconv")
    if syntax.is_private or not syntax.is_transfer_syntax:
        said = quoted(syntax)
        raise InputError(f"{path}: transfer syntax {said} is unknown; convert it with dcmconv")
    return syntax


def parse(path: Path, keywords: Sequence[str]) -> Dataset:
    """Read the named attributes and no others.

    Values that were not asked for are skipped in the file, so their size costs nothing. The
    dataset's `file_meta` has the transfer syntax its pixels are now in.

    Raises:
        InputError: If the file is not DICOM, is damaged, or inflates without end.
    """
    syntax = transfer_syntax(path)
    tags: list[BaseTag | int] = [Tag(cast(int, tag_for_keyword(word))) for word in keywords]
    with damage_refused(path):
        if syntax != DeflatedExplicitVRLittleEndian:
            return dcmread(path, specific_tags=tags, stop_before_pixels="PixelData" not in keywords)
    plain = io.BytesIO(_inflate(path))
    with damage_refused(path):
        dataset = read_dataset(plain, False, True, specific_tags=tags)
        dataset.file_meta = read_file_meta_info(path)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.set_original_encoding(False, True)
        return dataset


def _inflate(path: Path) -> bytes:
    """Unpack what follows the file meta information, in chunks and up to a bound."""
    inflater, plain = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    with damage_refused(path), path.open("rb") as file:
        file.seek(_end_of_meta(path))
        while not inflater.eof and len(plain) <= MAX_INFLATED:
            packed = inflater.unconsumed_tail or file.read(CHUNK)
            piece = inflater.decompress(packed, CHUNK)
            if not packed and not piece:
                break
            plain += piece
    if len(plain) > MAX_INFLATED:
        raise InputError(
            f"{path}: inflates to more than {MAX_INFLATED >> 20} MiB; if it is genuine, store it "
            "without deflate (dcmconv +te)"
        )
    if not inflater.eof:
        raise InputError(f"{path}: is truncated (its deflated data never ends); copy it again")
    return bytes(plain)


def _end_of_meta(path: Path) -> int:
    """Count the bytes before the data set: preamble, DICM, group length and the group itself."""
    length = read_file_meta_info(path)["FileMetaInformationGroupLength"].value
    return 132 + 12 + int(length)
