"""The JSON file beside an output that says how it was made."""

import json
from collections.abc import Mapping
from pathlib import Path

from medgen import __version__
from medgen.io.atomic import atomic_file
from medgen.io.names import stem_of
from medgen.io.provenance import Provenance


def sidecar_path(path: Path) -> Path:
    """Where the sidecar of an output is: `scan_ct.json` for `scan_ct.nii.gz` or `scan_ct/`."""
    return path.with_name(f"{stem_of(path)}.json")


def was_made_by(task: str, sidecar: Path) -> bool:
    """Whether a sidecar says that medgen made what it describes, by such a task."""
    try:
        made = json.loads(sidecar.read_text(encoding="utf-8"))
        return bool(made["Synthetic"] and made["Task"] == task)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_sidecar(
    path: Path,
    provenance: Provenance,
    details: Mapping[str, object],
    *,
    overwrite: bool = False,
) -> Path:
    """Write the sidecar of an output; it appears whole or not at all.

    Args:
        path: The output (file or folder) that it describes.
        provenance: How that was made.
        details: More facts, by name, that JSON can hold; they cannot replace the marks.
        overwrite: Replace an existing sidecar.

    Returns:
        The path of the sidecar.

    Raises:
        OutputError: If it exists or cannot be written.
    """
    facts = {
        **details,
        "Synthetic": True,
        "IntendedUse": "Research only; not for clinical use",
        "Description": provenance.sentence,
        "GeneratedBy": {"Name": "medgen", "Version": __version__},
        "Task": provenance.task,
        "Model": {"Name": provenance.model, "SHA256": provenance.model_sha256},
        "Seed": provenance.seed,
        "Steps": provenance.steps,
    }
    text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_file(sidecar_path(path), overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return sidecar_path(path)
