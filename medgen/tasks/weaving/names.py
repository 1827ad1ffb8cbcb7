"""Regions of a label map by their anatomical names."""

import difflib
import json
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Shaped

from medgen.errors import InputError, UsageError
from medgen.io.sidecar import sidecar_path
from medgen.phantom.thorax_labels import HEART, LEFT_RIBS, LOBES, RIGHT_RIBS
from medgen.phantom.tissue import LABELS

OFFERED = 3  # names, where one is unknown
MOST_BYTES = 1_000_000


def _thorax() -> dict[str, tuple[int, ...]]:
    """TotalSegmentator's numbers of what reports name in a chest."""
    names = {part.name.lower(): (number,) for number, part in LOBES.items()}
    sides = {
        side: tuple(number for number, part in LOBES.items() if part.name.startswith(side.upper()))
        for side in ("left", "right")
    }
    return {
        **names,
        **{f"{side}_lung": numbers for side, numbers in sides.items()},
        "lungs": tuple(LOBES),
        "heart": HEART,
        "left_ribs": tuple(LEFT_RIBS),
        "right_ribs": tuple(RIGHT_RIBS),
    }


def _head() -> dict[str, tuple[int, ...]]:
    """FreeSurfer's numbers of the tissues of a head."""
    return {tissue.name.lower(): tuple(numbers) for tissue, numbers in LABELS.items()}


THORAX, HEAD = _thorax(), _head()
THORAX_NUMBERS = {number for numbers in THORAX.values() for number in numbers}


def names_of(path: Path, labels: Shaped[np.ndarray, "*space"]) -> dict[str, tuple[int, ...]]:
    """What the numbers of a label map are called.

    A JSON file beside the map decides: `{"1": "tumour"}`, or that as its `Labels`; so does the one
    of the woven scan whose mask it is. Without one, the table of chests or that of heads does,
    whichever knows more of the numbers.

    Raises:
        InputError: If such a file is there and says something else.
    """
    own = sidecar_path(path)
    scan = own.with_name(own.name.replace("_mask.json", ".json"))
    for beside in dict.fromkeys((own, scan)):
        if named := _named_in(beside, is_own=beside == own):
            return named
    found = {int(number) for number in np.unique(labels)} - {0}
    heads = {number for numbers in HEAD.values() for number in numbers}
    return THORAX if len(found & THORAX_NUMBERS) >= len(found & heads) else HEAD


def _named_in(beside: Path, *, is_own: bool) -> dict[str, tuple[int, ...]]:
    """The numbers of each name in a JSON file; none where there is no such file.

    Raises:
        InputError: If it is there for the map and says something else.
    """
    if not beside.is_file() or beside.stat().st_size > MOST_BYTES:
        return {}
    named: dict[str, tuple[int, ...]] = {}
    try:
        said = json.loads(beside.read_text(encoding="utf-8"))
        for number, name in said.get("Labels", said if is_own else {}).items():
            named[str(name)] = (*named.get(str(name), ()), int(number))
    except (ValueError, AttributeError, TypeError):
        if not is_own:
            return {}
        raise InputError(
            f'{beside}: does not name labels; write {{"1": "tumour"}}, or remove it'
        ) from None
    return named


def named_region(
    name: str, path: Path, labels: Shaped[np.ndarray, "*space"]
) -> Bool[np.ndarray, "*space"]:
    """Where a label map has a region.

    Args:
        name: Its name, in any order of words (`left_lung_lower_lobe`), or its number.
        path: Of the map.
        labels: Its voxels.

    Raises:
        UsageError: If the map does not know the name, or has none of it; the nearest names of
            what it has are offered.
    """
    if name.isdecimal() and int(name):
        region = labels == int(name)
        present = [str(int(number)) for number in np.unique(labels) if number]
    else:
        known = names_of(path, labels)
        meant = {_words(each): numbers for each, numbers in known.items()}.get(_words(name), ())
        region = np.isin(labels, meant)
        present = [each for each, numbers in known.items() if np.isin(labels, numbers).any()]
    if not region.any():
        near = difflib.get_close_matches(name.lower(), present, n=OFFERED, cutoff=0.3)
        offered = ", ".join(near or sorted(present)[:OFFERED]) or "nothing"
        raise UsageError(f"--region {name}: {path.name} has none; nearest: {offered}")
    return region


def _words(name: str) -> frozenset[str]:
    """The words of a name; that a lobe is the lung's goes without saying."""
    words = set(name.lower().replace("-", "_").replace(" ", "_").split("_"))
    return frozenset(words - {"lung", "of", "the"} if "lobe" in words else words)
