"""The held-out simulated studies: the same voxels for everybody, or a clear word that they differ.

`python -m benchmarks.heldout --data DIR -o OUT` renders the studies of `heldout.json` from the
label maps in DIR and checks their SHA-256. The truth is on its own 1 mm grid and is never
resampled. Once a model is trained, only a new version with all figures run again replaces it.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medgen.io import files
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.modality import Kind, Modality
from medgen.phantom.study import simulate_study
from medgen.phantom.study_config import StudyConfig

LIST = Path(__file__).with_name("heldout.json")
VERSION = 1
HEADS = {"head_19": 1900, "head_20": 2000}  # name of the label map: seed
RULES: dict[str, Any] = {
    "spacing": 1.0,
    "fwhm_mm": 1.0,
    "noise_hu": 15.0,
    "thick": 0.0,
    "partial": 0.0,
}


@dataclass(frozen=True)
class Rendered:
    """One study: its name, its images, and their fingerprints as they stand in the list."""

    name: str
    images: dict[Kind, MedicalImage]
    row: dict[str, Any]


def render(data: Path) -> Iterator[Rendered]:
    """Render every held-out study, in the order of the list."""
    for name, seed in HEADS.items():
        labels = data / "heads" / f"{name}.nii.gz"
        made = simulate_study(StudyConfig(seed=seed, labels=labels, **RULES), 0)
        prints = {str(kind): fingerprint(image) for kind, image in made.images.items()}
        digest = hashlib.sha256(labels.read_bytes()).hexdigest()
        row = {"id": name, "seed": seed, "labels_sha256": digest, "images": prints}
        row["protocols"] = {
            word: facts["protocol"]
            for word, facts in made.facts["images"].items()
            if "protocol" in facts
        }
        yield Rendered(name, made.images, row)


def fingerprint(image: MedicalImage) -> dict[str, Any]:
    """Shape, spacing and SHA-256 of the voxels: CT as int16 HU, MRI as float32, i slowest.

    Bytes are little-endian and in C order, so that no file format or compression matters.
    """
    is_ct = image.kind is not None and image.kind.modality is Modality.CT
    stored = np.ascontiguousarray(image.voxels, "<i2" if is_ct else "<f4")
    return {
        "shape": list(stored.shape),
        "spacing_mm": list(image.geometry.spacing),
        "sha256": hashlib.sha256(stored.tobytes()).hexdigest(),
        "mean": round(float(stored.mean(dtype=np.float64)), 4),
    }


def differences(row: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """What is not as the list says, one line each."""
    if row["labels_sha256"] != expected["labels_sha256"]:
        return [f"{row['id']}: the label map is another file than the list was made from"]
    return [
        f"{row['id']} {word}: SHA-256 differs (mean {image['mean']}, "
        f"expected {expected['images'][word]['mean']})"
        for word, image in row["images"].items()
        if image["sha256"] != expected["images"][word]["sha256"]
    ]


def main(arguments: list[str] | None = None) -> int:
    """Render, and check or make the list; 0 if all is as it should be."""
    parser = argparse.ArgumentParser(prog="benchmarks.heldout", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds heads/")
    parser.add_argument("-o", "--out", type=Path, help="where to write the studies")
    parser.add_argument("--write", action="store_true", help="make heldout.json")
    options = parser.parse_args(arguments)
    expected = (
        {} if options.write else {s["id"]: s for s in json.loads(LIST.read_text())["studies"]}
    )
    rows, faults = [], []
    for study in render(options.data):
        rows.append(study.row)
        faults += [] if options.write else differences(study.row, expected[study.name])
        if options.out:
            _save(study, options.out)
    if options.write:
        listed = {"version": VERSION, "rules": RULES, "studies": rows}
        LIST.write_text(json.dumps(listed, indent=2) + "\n")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def _save(study: Rendered, out: Path) -> None:
    provenance = Provenance("phantom", "held-out heads", seed=study.row["seed"])
    for kind, image in study.images.items():
        path = out / study.name / f"{kind.slug}.nii.gz"
        files.write(image, path, provenance=provenance, overwrite=True)


if __name__ == "__main__":
    sys.exit(main())
