"""Many woven scans from the studies of a manifest: pairs of image and mask, and their manifest."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from medgen.data.manifest import read_manifest, write_manifest
from medgen.data.masks import write_masks
from medgen.data.study import Study
from medgen.diffusion.noise import generator_for
from medgen.errors import MedgenError, UsageError
from medgen.io import files
from medgen.io.atomic import atomic_folder
from medgen.io.image import MedicalImage
from medgen.io.names import check_apart
from medgen.io.provenance import Provenance
from medgen.modality import FACTS, Kind
from medgen.tasks.given import Given
from medgen.tasks.weave import WeaveConfig
from medgen.tasks.weaving.concept_file import load_concept
from medgen.tasks.weaving.files import Placed, read_scan, write_woven
from medgen.tasks.weaving.output import Written, report_path
from medgen.tasks.weaving.recipe import Recipe, chosen, drawn
from medgen.tasks.weaving.regions import Place
from medgen.tasks.weaving.report import has_word

MANIFEST, MASKS = "manifest.jsonl", "masks"
DIGITS = 4


@dataclass(frozen=True)
class Made:
    """One woven study, or why there is none.

    Attributes:
        name: Of the study.
        study: What the new manifest says of it; None if it failed.
        written: What is on disk; None if it failed or was there already.
        error: Why there is none.
    """

    name: str
    study: Study | None
    written: Written | None = None
    error: MedgenError | None = None


def weave_many(
    manifest: Path,
    recipe: Recipe,
    config: WeaveConfig,
    out: Path,
    *,
    number: int,
    seed: int,
    skip_existing: bool = False,
) -> Iterator[Made]:
    """Weave so many scans, each of a study in turn; one that fails does not stop the others.

    Scan k depends on the seed and k alone. The patients are those of the studies, so that no
    split is crossed. What is left is a folder a scan, with masks by the concepts' names and, where
    the study has one, the report that says what was woven, unless reports have no word for it; and
    `manifest.jsonl`, which goes on listing what is there already, unless it may be overwritten.

    Args:
        manifest: Of the studies; those that have a scan of the concepts' kind are used.
        recipe: What is woven, and where.
        config: How.
        out: The folder.
        number: Of scans.
        seed: Of all placement.
        skip_existing: Leave what is there.

    Raises:
        UsageError: If no study has such a scan, or the new manifest would replace this one.
        InputError: If the manifest or a concept cannot be read.
    """
    listed = out / MANIFEST
    check_apart([listed], [manifest])
    cards = [load_concept(Path(one.file)).card for one in recipe.concept]
    kinds, is_spoken = {one.kind for one in cards}, all(has_word(one.name) for one in cards)
    if len(kinds) > 1:
        raise UsageError(f"a recipe is for one kind of scan, not {', '.join(sorted(kinds))}")
    kind = Kind.parse(kinds.pop())
    scans = [
        (study, own, path)
        for study in read_manifest(manifest)
        for own, path in study.images.items()
        if (own.modality, own.view) == (kind.modality, kind.view)
        and kind.contrast in (None, own.contrast)
    ]
    if not scans:
        raise UsageError(f"{manifest}: no study has {kind}, which the concepts are of")
    order = torch.randperm(len(scans), generator=generator_for(seed, -1)).tolist()
    stays = listed.exists() and not config.overwrite
    before = {one.id: one for one in read_manifest(listed)} if stays else {}
    made = []
    for index in range(number):
        study, own, path = scans[order[index % len(scans)]]
        name = f"woven-{index + 1:0{DIGITS}d}"
        folder = out / name
        ending = ".png" if FACTS[own.modality].axes == 2 else ".nii.gz"
        image = folder / f"{own.slug}{ending}"
        text = report_path(image) if study.text and is_spoken else None
        masks = folder / MASKS
        kept = Study(name, study.patient, {own: image}, text, study.split, masks=masks)
        if skip_existing and folder.is_dir():
            one = Made(name, before.get(name, kept))  # it is whose it was, whatever the seed is
        else:
            one = _one(kept, Given(path, own), study, recipe, config, generator_for(seed, index))
        made.append(one)
        yield one
    known = before | {one.study.id: one.study for one in made if one.study}
    if known:
        write_manifest(list(known.values()), listed, overwrite=True)


def _one(
    kept: Study,
    scan: Given,
    study: Study,
    recipe: Recipe,
    config: WeaveConfig,
    generator: torch.Generator,
) -> Made:
    ((_, image),) = kept.images.items()
    try:
        with atomic_folder(image.parent, overwrite=config.overwrite) as draft:
            placed = _placed(scan, study.id, recipe, generator)
            given, report = f"{scan.kind}={scan.path}", study.text if kept.text else None
            written = write_woven(given, placed, config, draft / image.name, report=report)
            _write_masks(written, draft / MASKS)
    except MedgenError as error:
        return Made(kept.id, None, error=error)
    return Made(kept.id, kept, _moved(written, image.parent))


def _placed(scan: Given, study: str, recipe: Recipe, generator: torch.Generator) -> list[Placed]:
    image = read_scan(scan)
    placed, taken = [], np.zeros(image.voxels.shape, bool)
    for one in chosen(recipe, generator):
        region = drawn(one, image, study, generator, taken)
        taken = taken | region
        placed.append(Placed(Path(one.file), Place(drawn=region)))
    return placed


def _write_masks(written: Written, folder: Path) -> None:
    """A mask of each concept by its name, as studies have them."""
    if written.mask is None:
        return
    labels = files.read(written.mask, is_mask=True)
    masks: dict[str, MedicalImage] = {}
    for number, name in written.labels.items():
        there = (labels.voxels == number).astype(np.uint8)
        before = masks[name].voxels if name in masks else 0
        masks[name] = replace(labels, voxels=np.maximum(there, before), kind=None)
    provenance = Provenance("weave", written.model, written.model_sha256)
    write_masks({name: [mask] for name, mask in masks.items()}, folder, provenance=provenance)


def _moved(written: Written, folder: Path) -> Written:
    """The same with the names that the files have in the end."""
    return replace(
        written,
        output=folder / written.output.name,
        mask=folder / written.mask.name if written.mask else None,
        sidecar=folder / written.sidecar.name if written.sidecar else None,
        report=folder / written.report.name if written.report else None,
    )
