"""The held-out simulated studies: the same voxels for everybody, or a clear word that they differ.

`python -m benchmarks.heldout --data DIR -o OUT` renders the studies of `heldout.json` from the
label maps in DIR and checks their SHA-256; where that differs, their signatures (see
`benchmarks.likeness`), and `OUT/match.json` says which of both it was. The truth is on its own 1 mm
grid and is never resampled. Once a model is trained, only a new version with all figures run again
replaces it. The signatures were taken on another processor than the hashes; the means agree.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.likeness import Match, match, signature, worst
from medgen.io import files
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.modality import Kind, Modality
from medgen.phantom.study import simulate_study
from medgen.phantom.study_config import StudyConfig

LIST = Path(__file__).with_name("heldout.json")
MATCHES = "match.json"  # beside the studies: how each image is the one of the list
VERSION = 1
PARTS = 4  # blocks of a signature along each axis
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
    """Shape, spacing, SHA-256 and signature of the voxels: CT as int16 HU, MRI as float32.

    Bytes are little-endian and in C order, i slowest: no file format or compression matters.
    """
    is_ct = image.kind is not None and image.kind.modality is Modality.CT
    stored = np.ascontiguousarray(image.voxels, "<i2" if is_ct else "<f4")
    return {
        "shape": list(stored.shape),
        "spacing_mm": list(image.geometry.spacing),
        "sha256": hashlib.sha256(stored.tobytes()).hexdigest(),
        "mean": round(float(stored.mean(dtype=np.float64)), 4),
        "signature": signature(stored, PARTS),
    }


def matches(row: dict[str, Any], expected: dict[str, Any]) -> dict[str, Match]:
    """How each image is the one of the list."""
    found = {}
    for word, image in row["images"].items():
        listed = expected["images"][word]
        same_grid = all(image[key] == listed[key] for key in ("shape", "spacing_mm"))
        found[word] = Match.OTHER
        if same_grid:
            found[word] = match(
                image["sha256"],
                image["signature"],
                listed=listed["sha256"],
                expected=listed["signature"],
            )
    return found


def differences(row: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """What is not as the list says, one line each."""
    if row["labels_sha256"] != expected["labels_sha256"]:
        return [f"{row['id']}: the label map is another file than the list was made from"]
    return [
        f"{row['id']} {word}: is another image (mean {row['images'][word]['mean']}, "
        f"expected {expected['images'][word]['mean']})"
        for word, found in matches(row, expected).items()
        if found is Match.OTHER
    ]


def matched(folder: Path) -> str:
    """What a folder of rendered studies says of itself; `unknown` where it says nothing."""
    file = folder / MATCHES
    if not file.is_file():
        return "unknown"
    found = json.loads(file.read_text(encoding="utf-8"))
    return str(worst([Match(one) for study in found.values() for one in study.values()]))


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
    rows, faults, found = [], [], {}
    for study in render(options.data):
        rows.append(study.row)
        if not options.write:
            faults += differences(study.row, expected[study.name])
            found[study.name] = matches(study.row, expected[study.name])
            print(f"{study.name}: {worst([*found[study.name].values()])}")
        if options.out:
            _save(study, options.out)
    if options.out and found:
        (options.out / MATCHES).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if options.write:
        LIST.write_text(as_text({"version": VERSION, "rules": RULES, "studies": rows}))
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def as_text(listed: dict[str, Any]) -> str:
    """JSON with every list of numbers on one line."""
    return (
        re.sub(
            r"\[[\s\d.,-]*\]",
            lambda found: re.sub(r"\s+", " ", found[0]).replace("[ ", "[").replace(" ]", "]"),
            json.dumps(listed, indent=2),
        )
        + "\n"
    )


def _save(study: Rendered, out: Path) -> None:
    provenance = Provenance("phantom", "held-out heads", seed=study.row["seed"])
    for kind, image in study.images.items():
        path = out / study.name / f"{kind.slug}.nii.gz"
        files.write(image, path, provenance=provenance, overwrite=True)


if __name__ == "__main__":
    sys.exit(main())
