"""The examples that a concept is learned from: images with masks, or studies of a manifest."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medgen.data.manifest import read_manifest
from medgen.data.masks import mask_files
from medgen.data.study import Study
from medgen.errors import InputError, UsageError
from medgen.io import files
from medgen.io.image import MedicalImage
from medgen.io.names import stem_of
from medgen.modality import FACTS
from medgen.tasks.given import Given
from medgen.tasks.reporting.images import with_kinds
from medgen.tasks.weaving.learn import Example
from medgen.tasks.weaving.regions import Place, region_of

MANIFEST = ".jsonl"


@dataclass(frozen=True)
class Examples:
    """What was read.

    Attributes:
        examples: Images and regions, none of them empty.
        files: What was read for them.
    """

    examples: list[Example]
    files: list[Path]


def read_examples(given: Sequence[str], masks: Sequence[Path], name: str, *, most: int) -> Examples:
    """Read what a concept is learned from.

    Args:
        given: Images as `KIND=FILE` or `FILE`; or one manifest, whose studies for training have
            a mask of that name.
        masks: As many files as images, in their order; or one folder with files of the images'
            names; none where the whole of each image is the example.
        name: Of the concept.
        most: Examples of a manifest.

    Raises:
        UsageError: If masks and images do not go together, or no study has such a mask.
        InputError: If a file cannot be read, or a mask is empty.
    """
    if len(given) == 1 and given[0].endswith(MANIFEST):
        if masks:
            raise UsageError("--masks: a manifest names its masks itself; leave them out")
        return _of_studies(Path(given[0]), name, most)
    scans = [Given.parse(word) for word in given]
    chosen = _masks_of([one.path for one in scans], masks)
    examples = []
    for scan, mask in zip(scans, chosen, strict=True):
        image = _read(scan)
        if mask is None:
            region = np.ones(image.voxels.shape, bool)
        else:
            region = region_of(Place(mask=mask), image)
        if not region.any():
            raise InputError(f"{mask}: is empty; draw it on the finding, or leave the image out")
        examples.append(Example(image, region))
    return Examples(examples, [one.path for one in scans] + [one for one in chosen if one])


def read_images(given: Sequence[str]) -> list[MedicalImage]:
    """Read images, with their kinds."""
    return [_read(Given.parse(word)) for word in given]


def _read(scan: Given) -> MedicalImage:
    (image,) = with_kinds([files.read(scan.path)], [scan.kind])
    return image


def _masks_of(images: Sequence[Path], masks: Sequence[Path]) -> list[Path | None]:
    if not masks:
        return [None] * len(images)
    if len(masks) == 1 and masks[0].is_dir():
        there = {stem_of(path): path for path in sorted(masks[0].iterdir()) if path.is_file()}
        missing = [path for path in images if stem_of(path) not in there]
        if missing:
            raise UsageError(f"--masks {masks[0]}: has no file named like {missing[0].name}")
        return [there[stem_of(path)] for path in images]
    if len(masks) != len(images):
        raise UsageError(f"{len(masks)} masks for {len(images)} images; give one each, or a folder")
    return list(masks)


def _of_studies(manifest: Path, name: str, most: int) -> Examples:
    examples: list[Example] = []
    paths: list[Path] = []
    for study in read_manifest(manifest):
        if not study.is_for_training or len(examples) == most:
            continue
        for scan, mask in _pairs(study, name):
            image = _read(scan)
            region = region_of(Place(mask=mask), image)
            if region.any() and len(examples) < most:
                examples.append(Example(image, region))
                paths += [scan.path, mask]
    if not examples:
        raise UsageError(
            f"{manifest}: no study to learn from has a mask {name}; "
            "masks are named like the concept, --name pleural_effusion"
        )
    return Examples(examples, paths)


def _pairs(study: Study, name: str) -> list[tuple[Given, Path]]:
    """The images of a study that have a mask of that name."""
    if study.masks is None:
        return []
    found = []
    for kind, path in study.images.items():
        axes = FACTS[kind.modality].axes
        mask = mask_files(study.masks, axes=axes, view=kind.view).get(name)
        if mask is not None:
            found.append((Given(path, kind), mask))
    return found
