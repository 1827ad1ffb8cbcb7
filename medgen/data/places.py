"""Where a path really leads; each folder is followed once, however many files are in it."""

import os
import stat
from typing import NamedTuple


class Place(NamedTuple):
    """Where a path leads.

    Attributes:
        real: All links followed.
        is_there: Whether anything is there.
    """

    real: str
    is_there: bool


NOWHERE = Place("", is_there=False)


class Places:
    """The places of many paths.

    `os.path.realpath` asks for every folder above a file; here one question a file is left. What
    moves meanwhile is not noticed, so it is for one reading of one list.
    """

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def of(self, path: str) -> Place:
        """Where a path leads, whether anything is there or not.

        Args:
            path: As `str(Path(…))` writes it.
        """
        start = path.rfind(os.sep) + 1
        above, name = path[:start], path[start:]
        if name in ("", os.curdir, os.pardir):
            return _followed(path)
        folder = self._folders.get(above)
        if folder is None:
            followed = os.path.realpath(above)
            folder = self._folders[above] = followed.rstrip(os.sep) + os.sep
        real = folder + name
        try:
            is_link = stat.S_ISLNK(os.lstat(real).st_mode)
        except (OSError, ValueError):
            return Place(real, is_there=False)
        return _followed(real) if is_link else Place(real, is_there=True)


def _followed(path: str) -> Place:
    real = os.path.realpath(path)
    return Place(real, os.access(real, os.F_OK))
