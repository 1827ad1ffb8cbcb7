"""Standard views that were made before: a study is read once, and each later run starts at once."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float16
from torch import Tensor

from medgen.data.standard import StandardConfig, standard_mask, standard_view
from medgen.io import files
from medgen.io.atomic import atomic_file
from medgen.io.image import MedicalImage
from medgen.modality import Modality

Stat = tuple[str, int, int]
"""Of a file: where it is, its bytes, and when it changed, ns."""

VERSION = 3  # of what `standard_view` and `standard_mask` do


def cached_view(
    path: Path, modality: Modality, config: StandardConfig, cache: Path | None = None
) -> Float16[np.ndarray, "channels *space"]:
    """The standard view of an image; the file in the cache, if the image has not changed since.

    Args:
        path: The image's file or folder.
        modality: What it is taken for.
        config: Grids of the views.
        cache: Folder of the views; None reads the image anyway.

    Raises:
        InputError: If the image cannot be read.
        OutputError: If the cache cannot be written.
    """
    return _cached(
        [path], modality, config, cache, lambda: standard_view(_image(path), modality, config)
    )


def cached_mask(
    mask: Path,
    path: Path,
    modality: Modality,
    config: StandardConfig,
    cache: Path | None = None,
) -> Float16[np.ndarray, "*half"]:
    """Where a mask lies in the standard view of an image, at half the resolution, 0 to 1.

    Args:
        mask: The mask's file.
        path: The image's file or folder.
        modality: What the image is taken for.
        config: Grids of the views.
        cache: As for `cached_view`.

    Raises:
        InputError: If one of them cannot be read, or they do not fit.
        OutputError: If the cache cannot be written.
    """

    def made() -> Tensor:
        return standard_mask(files.read(mask, is_mask=True), _image(path), modality, config)

    return _cached([mask, path], modality, config, cache, made)


def _image(path: Path) -> MedicalImage:
    return _just_read(path, tuple(_stats([path])))


@lru_cache(maxsize=1)
def _just_read(path: Path, stats: tuple[Stat, ...]) -> MedicalImage:
    """An image, whose masks are asked for next; read again if its files have changed."""
    return files.read(path)


def _cached(
    paths: Sequence[Path],
    modality: Modality,
    config: StandardConfig,
    cache: Path | None,
    made: Callable[[], Tensor],
) -> Float16[np.ndarray, "*any"]:
    if cache is None:
        return np.asarray(made().half().numpy())
    return kept_array(_key(paths, modality, config), cache, made)


def kept_array(key: str, cache: Path, made: Callable[[], Tensor]) -> Float16[np.ndarray, "*any"]:
    """What a cache has under a key; made and kept, if it has nothing there.

    Args:
        key: Says all that the result depends on.
        cache: The folder.
        made: Makes it; kept at half precision.

    Raises:
        OutputError: If the cache cannot be written.
    """
    kept = cache / f"{key}.npy"
    try:
        stored: np.ndarray = np.load(kept, allow_pickle=False)
    except Exception:  # not there, or damaged: numpy's reader raises what it likes
        stored = made().half().numpy()
        with atomic_file(kept, overwrite=True) as draft, draft.open("wb") as file:
            np.save(file, stored)
    return stored


def _key(paths: Sequence[Path], modality: Modality, config: StandardConfig) -> str:
    """What the view depends on: where the files are, their sizes and times, and the grids."""
    said = json.dumps([VERSION, _stats(paths), modality, asdict(config)])
    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


def _stats(paths: Sequence[Path]) -> list[Stat]:
    parts = [
        part for path in paths for part in (sorted(path.rglob("*")) if path.is_dir() else [path])
    ]
    return [
        (str(part.resolve()), part.stat().st_size, part.stat().st_mtime_ns)
        for part in parts
        if part.exists()  # a link may lead nowhere
    ]
