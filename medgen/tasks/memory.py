"""Memory that was freed stays with the process: taking it anew costs a fifth of a simulation."""

import ctypes
import sys
from functools import cache

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of glibc's malloc.h
LARGEST_MMAP = 32 * 2**20  # bytes; glibc takes no more
PAD = 256 * 2**20
NEVER = 2**31 - 1


@cache
def keep_freed_memory() -> bool:
    """Tell glibc not to give memory back, once; elsewhere nothing happens.

    For work that takes and frees many arrays of megabytes: each would come from the system as
    pages of zeros, one fault a page.

    Returns:
        Whether it was done.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return False
    settings = (MMAP_THRESHOLD, LARGEST_MMAP), (TRIM_THRESHOLD, NEVER), (TOP_PAD, PAD)
    return all(mallopt(name, value) == 1 for name, value in settings)
