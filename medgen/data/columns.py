"""Which column of somebody's list of studies is which key of a manifest."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from medgen.data.listing import KEYS, Problem
from medgen.errors import UsageError

LOGGER = logging.getLogger(__name__)


def parse_renaming(words: Iterable[str]) -> dict[str, str]:
    """Read `NAME=KEY` for every column to be renamed; an empty KEY leaves the column out.

    Raises:
        UsageError: If a name is renamed twice, or a key is none of a manifest's.

    Example:
        >>> parse_renaming(["image=mri:t1", "label="])
        {'image': 'mri:t1', 'label': ''}
    """
    renaming: dict[str, str] = {}
    for word in words:
        name, equals, key = (part.strip() for part in word.rpartition("="))
        if not equals:
            raise UsageError(f"--map {word}: write NAME=KEY, or NAME= to leave it out")
        if key and key not in KEYS:
            raise UsageError(f"--map {word}: '{key}' is not one of {', '.join(KEYS)}")
        if name in renaming:
            raise UsageError(f"--map {word}: '{name}' is renamed twice; choose one")
        renaming[name] = key
    return renaming


@dataclass(frozen=True)
class Columns:
    """The columns of one list.

    Attributes:
        names: What the list calls them.
        renaming: Key of a manifest by name; empty to leave the column out. Other names are keys.
    """

    names: tuple[str, ...]
    renaming: Mapping[str, str]

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """What each column is in a manifest; empty where it is left out."""
        return tuple(self.renaming.get(name, name) for name in self.names)

    def check(self, path: Path, line: int) -> tuple[Problem, ...]:
        """Find what is wrong with the names; warn if none of them is of patients.

        Args:
            path: The list, for messages.
            line: Where the names stand; 0 if not on a line of their own.

        Raises:
            UsageError: If a column to be renamed is not there.
        """
        for name, key in self.renaming.items():
            if name not in self.names:
                raise UsageError(f"--map {name}={key}: {path} has no '{name}'; leave it out")
        counts = Counter(self.keys)
        keys = dict(zip(self.names, self.keys, strict=True))
        problems = [
            Problem(line, _shown(name) or "(no name)", fault)
            for name, key in keys.items()
            if self.renaming.get(name) != "" and (fault := _fault(name, key, counts[key]))
        ]
        if not problems and "patient" not in counts:
            LOGGER.warning(
                "%s: names no patients, so every study counts as another patient; "
                "if one has several, say whose they are: --map NAME=patient",
                path,
            )
        return tuple(problems)

    def entry(self, number: int, cells: Sequence[object]) -> dict[str, object]:
        """What a row says, by the keys of a manifest.

        Args:
            number: Of the row, from 1; the study's name where it has no `id`.
            cells: One for each column; None says nothing.
        """
        row = {
            key: cell
            for key, cell in zip(self.keys, cells, strict=True)
            if key and cell is not None
        }
        row.setdefault("id", f"study-{number:04d}")
        return row if "patient" in self.keys else row | {"patient": row["id"]}


def _fault(name: str, key: str, count: int) -> str:
    """What is wrong with a column; empty if nothing is."""
    if key not in KEYS:
        return (
            f"is not a known key; say what it is with --map '{_shown(name)}=KEY' "
            f"({', '.join(KEYS)}), or leave it out with --map '{_shown(name)}='"
        )
    return f"{count} columns are '{key}'; rename all but one" if count > 1 else ""


def _shown(name: str) -> str:
    """A name as it can stand in a message, whatever characters it has."""
    return ascii(name[:40])[1:-1]
