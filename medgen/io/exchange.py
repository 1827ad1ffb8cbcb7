"""Two folders trade places in one step, so that at no moment one of the names is missing."""

import ctypes
import errno
import os
from pathlib import Path

RENAME_EXCHANGE = 2  # Linux, renameat2(2)
AT_FDCWD = -100  # paths are relative to the working directory
UNABLE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}  # other systems, and some network drives


def exchange(first: Path, second: Path) -> bool:
    """Swap two files or folders of one disk.

    Returns:
        Whether it was done; False where the system has no such step, and nothing was changed.

    Raises:
        OSError: If the system has it and refuses, such as for want of permission.
    """
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux; Windows has no library None
        return False
    names = os.fsencode(first), os.fsencode(second)
    if renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0:
        return True
    fault = ctypes.get_errno()
    if fault in UNABLE:
        return False
    raise OSError(fault, os.strerror(fault), str(second))
