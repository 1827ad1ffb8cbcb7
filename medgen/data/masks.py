"""Masks: a folder with one image for each finding of a study, not 0 where the finding is.

`NAME.nii.gz` lies where the study's volumes are, `NAME.png` on the pixels of its radiograph, and
`NAME.lateral.png` on those of one from the side; NAME is the finding's in the phrase files, as
`pleural_effusion`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from medgen.errors import InputError
from medgen.io import files
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.modality import View

VOLUME, PICTURE = ".nii.gz", ".png"


def write_masks(
    masks: Mapping[str, Sequence[MedicalImage]], folder: Path, *, provenance: Provenance
) -> None:
    """Write the masks of a study, of each finding at most one volume and one picture a view."""
    folder.mkdir()
    for name, images in masks.items():
        for image in images:
            suffix = VOLUME
            if image.voxels.ndim == 2:
                suffix = _picture(image.kind.view if image.kind else None)
            files.write(image, folder / f"{name}{suffix}", provenance=provenance)


def mask_files(folder: Path, *, axes: int, view: View | None = None) -> dict[str, Path]:
    """The masks of a study's volumes (3 axes) or of its radiograph (2), by finding.

    Args:
        folder: Of the masks.
        axes: Of the images that they belong to.
        view: Of the radiograph, where it is from the side.

    Raises:
        InputError: If it is no folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder of masks; name the folder that holds them")
    suffix = _picture(view) if axes == 2 else VOLUME
    found = {path.name.removesuffix(suffix): path for path in folder.glob(f"*{suffix}")}
    return {name: found[name] for name in sorted(found) if "." not in name}


def _picture(view: View | None) -> str:
    return f".{view}{PICTURE}" if view else PICTURE
