"""A stream gives the unpacked bytes, hashes the stored ones, and notices damage anywhere."""

import gzip
import hashlib
from pathlib import Path

import pytest

from medgen.errors import InputError
from medgen.io.stream import ByteStream, peek

WORDS = bytes(range(256)) * 40


@pytest.fixture(params=["plain", "gzip"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(WORDS if request.param == "plain" else gzip.compress(WORDS))
    return path


def test_every_byte_arrives_and_the_stored_ones_are_hashed(file: Path) -> None:
    digest = hashlib.sha256()
    buffer = bytearray(9000)
    with ByteStream(file, digest) as stream:
        stream.expect(len(WORDS))
        start = stream.read(100)
        stream.skip(140)
        stream.fill(memoryview(buffer))
        rest = stream.read(10**6)
        stream.finish()
    assert start + WORDS[100:240] + buffer + rest == WORDS
    assert digest.hexdigest() == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_end_comes_too_soon(file: Path) -> None:
    with ByteStream(file, hashlib.sha256()) as stream, pytest.raises(InputError, match="cut short"):
        stream.fill(memoryview(bytearray(len(WORDS) + 1)))
    with ByteStream(file, hashlib.sha256()) as stream, pytest.raises(InputError, match="cut short"):
        stream.skip(len(WORDS) + 1)


def test_the_end_comes_too_late(file: Path) -> None:
    with ByteStream(file, hashlib.sha256()) as stream, pytest.raises(InputError, match="more than"):
        stream.finish()


def test_a_short_plain_file_is_refused_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(WORDS)
    with ByteStream(path, hashlib.sha256()) as stream, pytest.raises(InputError, match="cut short"):
        stream.expect(len(WORDS) + 1)


def test_a_wrong_checksum_is_noticed_at_the_end(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(WORDS))
    packed[-6] ^= 1
    path = tmp_path / "data.gz"
    path.write_bytes(packed)
    with ByteStream(path, hashlib.sha256()) as stream:
        assert stream.read(len(WORDS)) == WORDS
        with pytest.raises(InputError, match="damaged"):
            stream.finish()


def test_peek_unpacks_only_what_it_needs(file: Path) -> None:
    assert peek(file, 300) == WORDS[:300]


def test_peek_forgives_damage(tmp_path: Path) -> None:
    path = tmp_path / "data.gz"
    path.write_bytes(b"\x1f\x8bnot gzip")
    assert peek(path, 300) == b""


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.gz: cannot be opened \(No such file"):
        ByteStream(tmp_path / "none.gz", hashlib.sha256())
    with pytest.raises(InputError, match=r"none\.gz: cannot be opened \(No such file"):
        peek(tmp_path / "none.gz", 3)
