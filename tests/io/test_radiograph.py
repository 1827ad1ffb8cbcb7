"""Grey pictures are read to the last grey level; everything else is refused in one line."""

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from medgen.errors import InputError, OutputError, UsageError
from medgen.io import radiograph
from medgen.io.detector import flat_detector
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.modality import Kind

MADE = Provenance("phantom", "thorax", seed=3)
GREY = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
SMOOTH = np.add.outer(np.arange(0, 200, 10), np.arange(0, 45, 1.5)).astype(np.uint8)
XRAY = Kind.parse("xray")


def stored(pixels: np.ndarray, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=file_format, **options)
    return buffer.getvalue()


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_declaring(width: int, height: int, rows: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(*c) for c in ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    )


def put(folder: Path, content: bytes, name: str = "chest.png") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("pixels", [GREY, GREY.astype(np.uint16) * 257], ids=["8-bit", "16-bit"])
def test_png_keeps_every_grey_level(tmp_path: Path, pixels: np.ndarray) -> None:
    image = radiograph.read(put(tmp_path, stored(pixels)))
    assert image.voxels.dtype == pixels.dtype
    assert np.array_equal(image.voxels, pixels)
    assert image.kind == XRAY
    assert not image.spacing_is_known
    assert image.geometry.spacing == (1, 1, 1)


def test_jpeg_is_what_pillow_decodes(tmp_path: Path) -> None:
    path = put(tmp_path, stored(SMOOTH, "JPEG", quality=95), "chest.jpg")
    assert np.array_equal(radiograph.read(path).voxels, np.asarray(Image.open(path)))


@pytest.mark.parametrize("channels", [3, 4])
def test_grey_in_colour_is_grey(tmp_path: Path, channels: int) -> None:
    pixels = np.repeat(GREY[..., None], channels, axis=2)
    pixels[..., 3:] = 255
    assert np.array_equal(radiograph.read(put(tmp_path, stored(pixels))).voxels, GREY)


def test_grey_jpeg_stored_as_colour_is_grey(tmp_path: Path) -> None:
    pixels = np.repeat(SMOOTH[..., None], 3, axis=2)
    image = radiograph.read(put(tmp_path, stored(pixels, "JPEG", quality=95)))
    assert np.abs(image.voxels.astype(int) - SMOOTH).max() <= 8


def test_a_grey_palette_is_looked_up(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(GREY).convert("P").save(buffer, format="PNG")
    assert np.array_equal(radiograph.read(put(tmp_path, buffer.getvalue())).voxels, GREY)


def test_a_picture_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter clockwise to see it upright
    path = put(tmp_path, stored(GREY, exif=exif))
    assert np.array_equal(radiograph.read(path).voxels, np.rot90(GREY, -1))


def test_what_is_written_comes_back_marked(tmp_path: Path) -> None:
    for pixels in (GREY, GREY.astype(np.uint16) * 200):
        image = MedicalImage(pixels, flat_detector(0.143, 0.139), XRAY)
        path = radiograph.write(image, tmp_path / "a.png", provenance=MADE, overwrite=True)
        again = radiograph.read(path)
        assert again.voxels.dtype == pixels.dtype
        assert np.array_equal(again.voxels, pixels)
        assert again.spacing_is_known
        assert np.array_equal(again.geometry.affine, image.geometry.affine)
    with Image.open(path) as png:
        assert png.text["Synthetic"] == "yes"
        assert png.text["Description"] == MADE.sentence


@pytest.mark.parametrize("word", ["xray", "xray:lateral"])
def test_a_view_from_the_side_stays_one(tmp_path: Path, word: str) -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    side = MedicalImage(grey, flat_detector(), Kind.parse(word), spacing_is_known=False)
    path = radiograph.write(side, tmp_path / "side.png", provenance=MADE)
    assert str(radiograph.read(path).kind) == word


def test_unknown_spacing_stays_unknown_and_bytes_repeat(tmp_path: Path) -> None:
    image = radiograph.read(put(tmp_path, stored(GREY)))
    one = radiograph.write(image, tmp_path / "1.png", provenance=MADE)
    two = radiograph.write(image, tmp_path / "2.png", provenance=MADE)
    assert one.read_bytes() == two.read_bytes()
    assert not radiograph.read(one).spacing_is_known


def test_floats_are_rounded_to_16_bits(tmp_path: Path) -> None:
    image = MedicalImage(GREY + 1000.4, flat_detector(), XRAY)
    path = radiograph.write(image, tmp_path / "a.png", provenance=MADE)
    assert np.array_equal(radiograph.read(path).voxels, GREY.astype(np.uint16) + 1000)


def bad_pictures() -> dict[str, tuple[bytes, str]]:
    colour = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    clear = np.dstack([GREY, GREY, GREY, GREY])
    good, jpeg = stored(GREY), stored(SMOOTH, "JPEG")
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 4
    frames = io.BytesIO()
    first, second = Image.fromarray(GREY), Image.fromarray(255 - GREY)
    first.save(frames, format="PNG", save_all=True, append_images=[second])
    deep = bytearray(stored(np.full((4, 4, 3), 7, np.uint8)))
    deep[24] = 16
    deep[29:33] = struct.pack(">I", zlib.crc32(bytes(deep[12:29])))
    loud = PngImagePlugin.PngInfo()
    loud.add_text("note", "x" * 2**23, zip=True)
    return {
        "colour": (stored(colour), "colour picture"),
        "colour jpeg": (stored(colour, "JPEG"), "colour picture"),
        "transparent": (stored(clear), "transparent"),
        "black and white": (stored(GREY > 99), "1 pixels"),
        "cmyk": (cmyk_jpeg(), "CMYK pixels"),
        "constant": (stored(np.full((9, 9), 7, np.uint8)), "nothing to see"),
        "truncated": (good[:-40], "cut short"),
        "truncated jpeg": (jpeg[: len(jpeg) // 2], "cut short"),
        "flipped byte": (bytes(flipped), "damaged"),
        "animation": (frames.getvalue(), "several pictures"),
        "16-bit colour": (bytes(deep), "16-bit colour"),
        "bomb": (png_declaring(30000, 30000, bytes(2**20)), "larger than any radiograph"),
        "zero width": (png_declaring(0, 10, b""), "damaged|impossible|not a readable"),
        "lying height": (png_declaring(30, 5000, GREY.tobytes()), "more or fewer pixels"),
        "pixels bomb": (png_declaring(30, 20, bytes(2**23)), "more or fewer pixels"),
        "text bomb": (stored(GREY, pnginfo=loud), "damaged"),
        "empty": (b"", "not a readable"),
        "not a picture": (bytes(range(200)), "not a readable"),
    }


def cmyk_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(GREY).convert("CMYK").save(buffer, format="JPEG")
    return buffer.getvalue()


BAD = bad_pictures()


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    content, reason = BAD[name]
    path = put(tmp_path, content)
    with pytest.raises(InputError, match=reason) as caught:
        radiograph.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_flipped_byte_of_a_png_is_noticed_or_harmless(tmp_path: Path) -> None:
    good = stored(SMOOTH)
    for position in range(8, len(good), 3):
        flipped = bytearray(good)
        flipped[position] ^= 0x10
        path = put(tmp_path, bytes(flipped))
        with suppress(InputError):
            assert np.array_equal(radiograph.read(path).voxels, SMOOTH)


def test_what_png_cannot_hold_is_refused(tmp_path: Path) -> None:
    flat = MedicalImage(GREY, flat_detector(), XRAY)
    dark = MedicalImage(GREY - 1000.0, flat_detector(), XRAY)
    solid = MedicalImage(np.arange(8.0).reshape(2, 2, 2), flat_detector())
    for image, name, reason in (
        (flat, "a.jpg", "lose grey levels"),
        (dark, "a.png", "0 to 65535"),
        (solid, "a.png", r"volume as \.nii\.gz"),
    ):
        with pytest.raises(UsageError, match=reason):
            radiograph.write(image, tmp_path / name, provenance=MADE)
    put(tmp_path, b"mine", "a.png")
    with pytest.raises(OutputError, match="--overwrite"):
        radiograph.write(flat, tmp_path / "a.png", provenance=MADE)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"mine"]
