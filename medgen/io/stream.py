"""A file read once, front to back: hashed as stored, unpacked if gzip, checked to its end."""

import gzip
import hashlib
import io
import zlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from medgen.errors import InputError
from medgen.io.limits import MAX_TRAILING, check_expansion

GZIP = b"\x1f\x8b"
CHUNK = 2**20
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)


class ByteStream:
    """The unpacked bytes of a file, in order.

    Attributes:
        path: The file.
        size: Its bytes on disk.
        is_gzip: Whether it is compressed; told by its first bytes, not by its name.
    """

    def __init__(self, path: Path, digest: "hashlib._Hash") -> None:
        self.path = path
        try:
            self._file = path.open("rb")
            self.size = path.stat().st_size
            self.is_gzip = self._file.read(2) == GZIP
            self._file.seek(0)
        except OSError as error:
            raise InputError(f"{path}: cannot be opened ({error.strerror})") from error
        hashed = io.BufferedReader(_Hashed(self._file, digest), CHUNK)
        self._stream = gzip.GzipFile(fileobj=hashed) if self.is_gzip else hashed

    def __enter__(self) -> "ByteStream":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def expect(self, total: int) -> None:
        """Refuse early if the file cannot hold, or should not unpack to, `total` bytes.

        Raises:
            InputError: If it is too short, or compressed beyond belief.
        """
        if self.is_gzip:
            check_expansion(self.path, self.size, total)
        elif self.size < total:
            raise self._cut_short()

    def read(self, count: int) -> bytes:
        """The next bytes; fewer than `count` only at the end.

        Raises:
            InputError: If the gzip data is damaged.
        """
        try:
            return self._stream.read(count)
        except _DAMAGE as error:
            raise self._damaged() from error
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror})") from error

    def fill(self, buffer: memoryview) -> None:
        """Read exactly as many bytes as `buffer` has.

        Raises:
            InputError: If the file ends before.
        """
        done = 0
        while done < len(buffer):
            chunk = self.read(min(CHUNK, len(buffer) - done))
            if not chunk:
                raise self._cut_short()
            buffer[done : done + len(chunk)] = chunk
            done += len(chunk)

    def skip(self, count: int) -> None:
        """Read and forget `count` bytes.

        Raises:
            InputError: If the file ends before.
        """
        while count > 0:
            chunk = self.read(min(CHUNK, count))
            if not chunk:
                raise self._cut_short()
            count -= len(chunk)

    def finish(self) -> None:
        """Read to the end, so that the checksum of gzip is verified and the hash is complete.

        Raises:
            InputError: If the checksum is wrong, or much more follows than a padding.
        """
        if len(self.read(MAX_TRAILING + 1)) > MAX_TRAILING:
            raise InputError(
                f"{self.path}: holds more than its header declares; the header is damaged"
            )

    def _cut_short(self) -> InputError:
        return InputError(f"{self.path}: is cut short; copy or download it again")

    def _damaged(self) -> InputError:
        return InputError(f"{self.path}: its gzip data is damaged; copy or download it again")


class _Hashed(io.RawIOBase):
    """Passes a file's bytes on and hashes them."""

    def __init__(self, file: BinaryIO, digest: "hashlib._Hash") -> None:
        self._file, self._digest = file, digest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._file.read(len(buffer))
        self._digest.update(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)


def peek(path: Path, count: int) -> bytes:
    """The first unpacked bytes of a file; fewer if it is shorter or damaged.

    Raises:
        InputError: If it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            head = file.read(count + 2**14)
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from error
    if not head.startswith(GZIP):
        return head[:count]
    try:
        return zlib.decompressobj(wbits=31).decompress(head, count)
    except zlib.error:
        return b""
