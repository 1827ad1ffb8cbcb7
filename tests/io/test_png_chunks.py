"""A whole PNG of any depth and interlacing passes; one byte or row less does not."""

import io
import struct
import zlib
from itertools import product
from pathlib import Path

import pytest
from PIL import Image

from medgen.errors import InputError
from medgen.io.png_chunks import check_png

NAME = Path("chest.png")


def png(width: int, height: int, size: int, *, bits: int = 8, interlaced: int = 0) -> bytes:
    """A grey PNG whose pixels unpack to `size` zero bytes."""
    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, interlaced)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(size))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def adam7_bytes(width: int, height: int, bits: int) -> int:
    """Counted pixel by pixel from the pattern in the PNG specification, 8.2."""
    pattern = ["16462646", "77777777", "56565656", "77777777", "36463646", "77777777"]
    pattern += ["56565656", "77777777"]
    passes: dict[str, dict[int, int]] = {}
    for row, column in product(range(height), range(width)):
        rows = passes.setdefault(pattern[row % 8][column % 8], {})
        rows[row] = rows.get(row, 0) + 1
    return sum(1 + (n * bits + 7) // 8 for rows in passes.values() for n in rows.values())


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (9, 7), (16, 5), (5, 17)])
def test_the_exact_size_passes_and_no_other(width: int, height: int, bits: int) -> None:
    for interlaced in (0, 1):
        plain = height * (1 + (width * bits + 7) // 8)
        size = adam7_bytes(width, height, bits) if interlaced else plain
        check_png(NAME, png(width, height, size, bits=bits, interlaced=interlaced))
        for wrong in (size - 1, size + 1):
            with pytest.raises(InputError, match=r"chest\.png: has more or fewer pixels"):
                check_png(NAME, png(width, height, wrong, bits=bits, interlaced=interlaced))


def test_pillows_own_files_pass() -> None:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        buffer = io.BytesIO()
        Image.new(mode, (13, 11)).save(buffer, format="PNG")
        check_png(NAME, buffer.getvalue())


def test_every_cut_is_noticed() -> None:
    whole = png(4, 4, 20)
    for length in range(8, len(whole)):
        with pytest.raises(InputError, match=r"chest\.png: is (cut short|damaged)"):
            check_png(NAME, whole[:length])
