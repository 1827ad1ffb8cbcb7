"""Memory: what becomes of it when it is freed, how much there is, what to do without enough.

Glibc is told what suits the work.

A simulation takes the same arrays again and again, and so does a training: they stay with the
process, for taking them anew costs a fifth of its time. A reader that keeps a little of every image
gives each image back: what it keeps would lie between the holes, and they are never filled.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from medgen.errors import MedgenError

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of glibc's malloc.h
LARGEST_MMAP = 32 * 2**20  # bytes; glibc takes no more
PAD = 256 * 2**20
NEVER = 2**31 - 1
LARGE = 256 * 2**10  # bytes


@cache
def keep_freed_memory() -> bool:
    """Tell glibc not to give memory back, once; elsewhere nothing happens.

    For work that takes and frees many arrays of megabytes: each would come from the system as
    pages of zeros, one fault a page.

    Returns:
        Whether it was done.
    """
    return _told((MMAP_THRESHOLD, LARGEST_MMAP), (TRIM_THRESHOLD, NEVER), (TOP_PAD, PAD))


@cache
def give_back_large_arrays() -> bool:
    """Tell glibc to give every large array back as soon as it is freed, once.

    Left alone it stops doing so after the first one, and 1,300 scans of 9 MB take 20 GB, of which
    2 GB are kept.

    Returns:
        Whether it was done.
    """
    return _told((MMAP_THRESHOLD, LARGE))


def _told(*settings: tuple[int, int]) -> bool:
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return all(mallopt(name, value) == 1 for name, value in settings)


def available_bytes() -> float:
    """Memory that a process can have here; infinite where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:  # another system
        return float("inf")
    kilobytes = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return 1024.0 * float(next(kilobytes, "inf"))


@contextmanager
def enough_memory(remedy: str) -> Iterator[None]:
    """Say what helps when the work inside runs out of memory.

    Raises:
        MedgenError: Instead of the error of Python, torch or the GPU.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch has a class for the GPU's memory, and for the CPU's nothing but words.
        is_short = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
        if is_short or "allocate memory" in str(error):
            raise MedgenError(f"out of memory; {remedy}") from error
        raise
