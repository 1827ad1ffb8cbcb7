"""How much a file may ask for before anything is allocated for it."""

from collections.abc import Sequence
from math import prod
from pathlib import Path

from medgen.errors import InputError

MAX_VOXELS = 1_100_000_000  # a 1024 x 1024 CT of a thousand slices
MAX_PIXELS = 50_000_000  # twice the largest radiography detectors
MAX_RATIO = 500  # deflate reaches 1032:1 on zeros; scans 2:1 to 20:1, label maps 200:1
FREE_BYTES = 64 * 2**20  # what may unpack at any ratio: too little to hurt
MAX_TRAILING = 4096  # padding after the voxels; more means that the header lies


def check_voxels(path: Path, shape: Sequence[int], max_voxels: int | float = MAX_VOXELS) -> None:
    """Refuse sizes that are impossible, or larger than allowed.

    Args:
        path: The file, for the message.
        shape: Every declared dimension, frames included.
        max_voxels: The largest product that is accepted.

    Raises:
        InputError: If a dimension is below 1 or the product is above `max_voxels`.
    """
    size = " x ".join(map(str, shape))
    if any(length < 1 for length in shape):
        raise InputError(f"{path}: declares impossible dimensions {size}; the header is damaged")
    if prod(map(int, shape)) > max_voxels:
        raise InputError(
            f"{path}: declares {size} voxels, more than {int(max_voxels)}; "
            "if that is true, resample it to fewer"
        )


def check_expansion(path: Path, packed: int, unpacked: int) -> None:
    """Refuse a compressed file that claims to unpack to absurdly many bytes.

    Args:
        path: The file, for the message.
        packed: Its size on disk, in bytes.
        unpacked: What it says it holds, in bytes.

    Raises:
        InputError: If `unpacked` is above 64 MiB and more than 500 times `packed`.
    """
    if unpacked > FREE_BYTES and unpacked > MAX_RATIO * packed:
        raise InputError(
            f"{path}: {packed} bytes claim to unpack to {unpacked}: cut short, or a "
            "decompression bomb; unpack it yourself if you trust it"
        )
