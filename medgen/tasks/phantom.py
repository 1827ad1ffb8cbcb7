"""Phantom: write made-up studies, the list of them, and what is true of each."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from medgen.data.counterfactuals import write_counterfactuals
from medgen.data.manifest import write_manifest
from medgen.data.masks import write_masks
from medgen.data.study import Study
from medgen.errors import OutputError, UsageError
from medgen.io import files
from medgen.io.atomic import atomic_file, atomic_folder, check_writable, refuse_existing
from medgen.io.provenance import Provenance
from medgen.modality import Kind, Modality
from medgen.phantom.anatomy import label_maps
from medgen.phantom.chest_study import ChestConfig, simulate_chest
from medgen.phantom.study import simulate_study
from medgen.phantom.study_config import StudyConfig
from medgen.tasks.batch import MANIFEST, Done, Item, run_batch
from medgen.tasks.memory import keep_freed_memory

FINDINGS = "findings.json"
REPORT = "report.txt"
COUNTERFACTUALS = "counterfactuals.json"
MASKS = "masks"
FOLLOW_UP = "-follow-up"  # ends the name of a patient's second study


@dataclass(frozen=True)
class PhantomConfig:
    """Which studies to make, and how to store them."""

    number: int = 1  # of patients, each with one study or, with `follow_up`, two
    format: Literal["nifti", "dicom"] = "nifti"
    study: StudyConfig | ChestConfig = field(default_factory=StudyConfig)  # of heads or chests
    overwrite: bool = False
    skip_existing: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.number <= 1_000_000:
            raise UsageError(f"{self.number} studies: choose 1 to 1000000")


@dataclass(frozen=True)
class Written:
    """One study on the disk.

    Attributes:
        study: What the manifest says of it.
        facts: What is true of it.
    """

    study: Study
    facts: dict[str, Any]


def simulate(config: PhantomConfig, out: Path, *, jobs: int = 1) -> Iterator[Written]:
    """Make the studies and write them; `manifest.jsonl` and `findings.json` appear at the end.

    Every study is a folder that appears whole or not at all, with its own `findings.json`; a run
    that was stopped goes on with `skip_existing`. Same configuration, same bytes.

    Args:
        config: Which studies.
        out: The folder for all of them.
        jobs: How many to work on at once.

    Yields:
        Each study when it is written, in order.

    Raises:
        InputError: If a label map cannot be read.
        OutputError: If something is in the way or cannot be written; nothing is half there.
    """
    if config.study.labels:
        label_maps(config.study.labels)
    _check(config, out)
    names = study_names(config)
    items = [Item(name, out / name) for name in names]
    written = []
    for result in run_batch(items, partial(write_study, config=config), jobs=jobs):
        if not isinstance(result, Done):
            raise result.error
        written.append(result.value)
        yield result.value
    replace = config.overwrite or config.skip_existing
    write_manifest([one.study for one in written], out / MANIFEST, overwrite=replace)
    studies = {one.study.id: one.facts for one in written}
    _write_json(studies, out / FINDINGS, overwrite=replace)


def study_name(index: int) -> str:
    """What the first study of patient `index` is called; people count from 1.

    Example:
        >>> study_name(0)
        'study-0001'
    """
    return f"study-{index + 1:04d}"


def study_names(config: PhantomConfig) -> list[str]:
    """What all of the studies are called, a patient's after one another."""
    endings = ("", FOLLOW_UP) if config.study.follow_up else ("",)
    return [f"{study_name(index)}{end}" for index in range(config.number) for end in endings]


def write_study(item: Item, config: PhantomConfig) -> Written:
    """Make one study in the folder `item.path`; its name says which it is."""
    keep_freed_memory()
    index = int(item.name.removesuffix(FOLLOW_UP).rpartition("-")[2]) - 1
    is_later = item.name.endswith(FOLLOW_UP)
    if config.skip_existing and (item.path / FINDINGS).is_file():
        return _read_study(item.path)
    with atomic_folder(item.path, overwrite=config.overwrite) as folder:
        if isinstance(config.study, ChestConfig):
            made, simulator = simulate_chest(config.study, index, is_later=is_later), "chest"
        else:
            made, simulator = simulate_study(config.study, index, is_later=is_later), "head"
        provenance = Provenance("phantom", f"{simulator} simulator", seed=config.study.seed)
        for kind, image in made.images.items():
            files.write(image, folder / _file_name(kind, config.format), provenance=provenance)
        if made.report is not None:
            (folder / REPORT).write_text(made.report + "\n", encoding="utf-8")
        if made.counterfactuals:
            write_counterfactuals(made.counterfactuals, folder / COUNTERFACTUALS)
        if config.study.masks:
            write_masks(made.masks, folder / MASKS, provenance=provenance)
        _write_json(made.facts, folder / FINDINGS)
    return _read_study(item.path)


def _file_name(kind: Kind, file_format: str) -> str:
    if kind.modality is Modality.XRAY:
        return f"{kind.slug}.dcm" if file_format == "dicom" else f"{kind.slug}.png"
    return kind.slug if file_format == "dicom" else f"{kind.slug}.nii.gz"


def _read_study(folder: Path) -> Written:
    """What a study's folder says of itself."""
    try:
        facts = json.loads((folder / FINDINGS).read_text(encoding="utf-8"))
        kinds = [Kind.parse(word) for word in facts["images"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise OutputError(f"{folder / FINDINGS}: is damaged; remove {folder}") from None
    images = {}
    for kind in kinds:
        names = [folder / _file_name(kind, each) for each in ("nifti", "dicom")]
        images[kind] = next((path for path in names if path.exists()), names[0])
    others = (folder / name for name in (REPORT, COUNTERFACTUALS, MASKS))
    text, changed, masks = (path if path.exists() else None for path in others)
    patient = folder.name.removesuffix(FOLLOW_UP)
    study = Study(folder.name, patient, images, text, counterfactuals=changed, masks=masks)
    return Written(study, facts)


def _check(config: PhantomConfig, out: Path) -> None:
    """Raise OutputError before anything is computed."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; name a folder")
    replace = config.overwrite or config.skip_existing
    for name in (MANIFEST, FINDINGS):
        refuse_existing(out / name, overwrite=replace)
    check_writable(out / MANIFEST, overwrite=replace)
    if not replace:
        for name in study_names(config):
            refuse_existing(out / name)


def _write_json(value: object, path: Path, *, overwrite: bool = False) -> None:
    with atomic_file(path, overwrite=overwrite) as draft:
        draft.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
