"""Whether a PNG holds every pixel it declares and every checksum in it is right."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from medgen.errors import InputError

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_ADAM7 = (  # of each interlacing pass: first column, first row, their steps
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
_ALL = ((0, 0, 1, 1),)
CHUNK = 2**20


def check_png(path: Path, stored: bytes) -> None:
    """Verify the chunks of a PNG file and the number of bytes its pixels unpack to.

    Decoders fill missing rows with black and stop before the last checksum; a radiograph must
    not be read that way.

    Args:
        path: The file, for the message.
        stored: Its content.

    Raises:
        InputError: If a checksum is wrong, pixels are missing or too many, or the file has
            16-bit colour, of which decoders keep half.

    Source: PNG specification (ISO/IEC 15948), 5 and 8.
    """
    chunks = list(_chunks(path, stored))
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise _damaged(path)
    header = struct.unpack(">IIBBBBB", chunks[0][1])
    width, height, bits, colour, _, _, interlaced = header
    if bits == 16 and colour != 0:
        raise InputError(f"{path}: has 16-bit colour; save it as 16-bit greyscale PNG")
    pixel_bits = bits * _CHANNELS.get(colour, 0)
    expected = sum(
        -(-(height - top) // down) * (1 + -(-(-(-(width - left) // right) * pixel_bits) // 8))
        for left, top, right, down in (_ADAM7 if interlaced else _ALL)
        if width > left and height > top
    )
    packed = b"".join(body for name, body in chunks if name == b"IDAT")
    if _unpacked_size(path, packed, stop=expected + 1) != expected:
        raise InputError(f"{path}: has more or fewer pixels than it declares; save it again")


def _chunks(path: Path, stored: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and body of each chunk, up to the end mark."""
    position = 8
    while True:
        head = stored[position : position + 8]
        if len(head) < 8:
            raise InputError(f"{path}: is cut short; copy or save it again")
        (length,), name = struct.unpack(">I", head[:4]), head[4:]
        body = stored[position + 8 : position + 8 + length]
        checksum = stored[position + 8 + length : position + 12 + length]
        if len(checksum) < 4:
            raise InputError(f"{path}: is cut short; copy or save it again")
        if zlib.crc32(name + body) != int.from_bytes(checksum, "big"):
            raise _damaged(path)
        yield name, body
        if name == b"IEND":
            return
        position += 12 + length


def _unpacked_size(path: Path, packed: bytes, *, stop: int) -> int:
    """How many bytes come out, counted no further than about `stop`."""
    unpacker, size = zlib.decompressobj(), 0
    while not unpacker.eof and size < stop:
        piece = unpacker.decompress(packed, CHUNK)
        packed = unpacker.unconsumed_tail
        size += len(piece)
        if not piece and not packed and not unpacker.eof:
            raise _damaged(path)
    return size


def _damaged(path: Path) -> InputError:
    return InputError(f"{path}: is damaged; copy or save it again")
