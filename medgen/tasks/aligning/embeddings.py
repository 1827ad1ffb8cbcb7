"""Embeddings of a manifest's studies as one file, for use elsewhere."""

from pathlib import Path
from typing import Any

import numpy as np

from medgen.errors import InputError, UsageError
from medgen.io.atomic import atomic_file, check_writable, refuse_existing
from medgen.tasks.aligning.model import load_aligner
from medgen.tasks.aligning.retrieval import RetrievalConfig, embed, studies_of
from medgen.tasks.device import choose_device

SUFFIX = ".npz"


def export_embeddings(manifest: Path, config: RetrievalConfig, out: Path) -> int:
    """Write `id`, and for each modality one unit vector a study, NaN where a study lacks it.

    `numpy.load` reads it without pickle: `id` are strings, `text`, `xray`, `ct` and `mri` float32
    (studies, embedding), `model` the name and version of the encoders.

    Args:
        manifest: Of the studies.
        config: The encoders, and which studies.
        out: Ends in `.npz`; must not be there.

    Returns:
        How many studies.

    Raises:
        UsageError: If the name does not end so.
        OutputError: If it is there already, or cannot be written.
        InputError: If the manifest is wrong, too much cannot be read, or nothing is there to embed.
        ModelError: If the model has no encoders.
    """
    if out.suffix.lower() != SUFFIX:
        raise UsageError(f"{out}: embeddings are written as {SUFFIX}; name such a file")
    refuse_existing(out, overwrite=False)
    check_writable(out, overwrite=False)
    loaded = load_aligner(config.model, choose_device(config.device))
    found = embed(loaded, studies_of(manifest, loaded, config, least=1))
    if not found.ids:
        raise InputError(f"{manifest}: no study has a report or an image for {loaded.card.name}")
    columns: dict[str, Any] = {str(name): rows for name, rows in found.vectors.items()}
    columns["id"] = np.array(found.ids)
    model = f"{loaded.card.name} {loaded.card.version}"
    with atomic_file(out) as draft, draft.open("wb") as file:
        np.savez_compressed(file, model=np.array(model), **columns)
    return len(found.ids)
