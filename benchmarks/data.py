"""The real pairs: which patients are trained on, which choose a model, and which are only measured.

`python -m benchmarks.data --data DIR -o runs/pairs.jsonl` writes the manifest for `medgen train`.
"""

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from medgen.data.study import Split, Study
from medgen.errors import InputError
from medgen.io.atomic import atomic_file
from medgen.modality import Contrast, Kind, Modality

TEST = ("STS_005", "STS_014", "STS_025", "STS_029", "STS_038", "STS_047")  # never trained on
VALIDATION = ("STS_008", "STS_022", "STS_041")  # training patients that choose models instead
HELD_OUT_HEADS = ("head_19", "head_20")
CT, T1 = Kind(Modality.CT), Kind(Modality.MRI, Contrast.T1)


def default_data() -> Path:
    """Where the data is: MEDGEN_DATA, or beside the repository."""
    return Path(os.environ.get("MEDGEN_DATA", "../shared/data"))


def data_option(parser: argparse.ArgumentParser) -> None:
    """Add `--data`, the same in every command."""
    parser.add_argument(
        "--data", type=Path, default=default_data(), metavar="DIR", help="pairs, heads, mri_heads"
    )


def split_of(patient: str) -> Split:
    """What a patient of the pairs may be used for."""
    if patient in TEST:
        return Split.TEST
    return Split.VALIDATION if patient in VALIDATION else Split.TRAIN


def studies(data: Path) -> list[Study]:
    """Every pair in the order of its name.

    Raises:
        InputError: If the folder has no pairs, or a patient who is to be measured is missing.
    """
    folders = sorted(path for path in (data / "pairs").glob("STS_*") if path.is_dir())
    missing = sorted({*TEST, *VALIDATION} - {folder.name for folder in folders})
    if missing:
        raise InputError(f"{data / 'pairs'}: lacks {', '.join(missing)}; name the data with --data")
    return [
        Study(
            folder.name,
            folder.name,
            {CT: folder / "ct.nii.gz", T1: folder / "mr_t1.nii.gz"},
            split=split_of(folder.name),
        )
        for folder in folders
    ]


def of_split(data: Path, split: Split) -> Iterator[Study]:
    """The pairs of one split."""
    return (study for study in studies(data) if study.split == split)


def body_mask_of(data: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The body mask of all figures, `body_mask.py` in the data folder: MRI voxels in, mask out.

    Raises:
        InputError: If the file is not there.
    """
    path = data / "body_mask.py"
    spec = importlib.util.spec_from_file_location("body_mask", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise InputError(f"{path}: no such file; name the data with --data")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.body_mask


def manifest_line(study: Study, folder: Path) -> str:
    """One line of a manifest in `folder`, with paths that lead out of it."""
    row = {"id": study.id, "patient": study.patient}
    for kind, path in study.images.items():
        row[str(kind)] = Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    return json.dumps(row | {"split": str(study.split)}) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the manifest."""
    parser = argparse.ArgumentParser(prog="benchmarks.data", description=__doc__)
    data_option(parser)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/pairs.jsonl"))
    options = parser.parse_args(arguments)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines = [manifest_line(study, options.out.parent) for study in studies(options.data)]
    with atomic_file(options.out, overwrite=True) as draft:
        draft.write_text("".join(lines), encoding="utf-8")
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
