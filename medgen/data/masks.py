"""Masks: a folder with one image for each finding of a study, not 0 where the finding is.

`NAME.nii.gz` lies where the study's volumes are, `NAME.png` on the pixels of its radiograph; NAME
is the finding's in the phrase files, as `pleural_effusion`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from medgen.errors import InputError
from medgen.io import files
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance

VOLUME, PICTURE = ".nii.gz", ".png"


def write_masks(
    masks: Mapping[str, Sequence[MedicalImage]], folder: Path, *, provenance: Provenance
) -> None:
    """Write the masks of a study, at most one volume and one picture of each finding."""
    folder.mkdir()
    for name, images in masks.items():
        for image in images:
            suffix = PICTURE if image.voxels.ndim == 2 else VOLUME
            files.write(image, folder / f"{name}{suffix}", provenance=provenance)


def mask_files(folder: Path, *, axes: int) -> dict[str, Path]:
    """The masks of a study's volumes (3 axes) or of its radiograph (2), by finding.

    Raises:
        InputError: If it is no folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder of masks; name the folder that holds them")
    suffix = PICTURE if axes == 2 else VOLUME
    found = {path.name.removesuffix(suffix): path for path in folder.glob(f"*{suffix}")}
    return dict(sorted(found.items()))
