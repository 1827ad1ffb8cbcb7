"""Standard views that were made before: a study is read once, and each later run starts at once."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from jaxtyping import Float16

from medgen.data.standard import StandardConfig, standard_view
from medgen.io import files
from medgen.io.atomic import atomic_file
from medgen.modality import Modality

VERSION = 1  # of what `standard_view` does


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
    if cache is None:
        return _view(path, modality, config)
    kept = cache / f"{_key(path, modality, config)}.npy"
    try:
        stored: np.ndarray = np.load(kept, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # not there, or damaged
        stored = _view(path, modality, config)
        with atomic_file(kept, overwrite=True) as draft, draft.open("wb") as file:
            np.save(file, stored)
    return stored


def _view(path: Path, modality: Modality, config: StandardConfig) -> np.ndarray:
    view: np.ndarray = standard_view(files.read(path), modality, config).half().numpy()
    return view


def _key(path: Path, modality: Modality, config: StandardConfig) -> str:
    """What the view depends on: where the files are, their sizes and times, and the grids."""
    parts = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(str(part.resolve()), part.stat().st_size, part.stat().st_mtime_ns) for part in parts]
    said = json.dumps([VERSION, stats, modality, asdict(config)])
    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()
