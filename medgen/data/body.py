"""Which voxels are the patient: what is inside the largest thing that is not air."""

import numpy as np
from jaxtyping import Bool, Num
from scipy import ndimage

from medgen.errors import InputError
from medgen.io.image import MedicalImage
from medgen.modality import Modality

BODY_HU = -500.0  # half way between air and water
AIR_AT_MOST_HU = -900.0
MRI_SHARE = 0.08  # of the 99th percentile of what is not background
CT_RULE = "body of the truth: above -500 HU, largest component, filled in axial slices"
MRI_RULE = (
    "body of the truth: above 8 % of its bright end, largest component, filled in axial slices"
)


def body_of(image: MedicalImage) -> Bool[np.ndarray, "i j k"]:
    """Voxels inside the body, lungs and sinuses included; the table not.

    Raises:
        InputError: If nothing stands out from the background.
    """
    bright = image.voxels > BODY_HU if is_ct(image) else _bright(image.voxels)
    if not bright.any():
        name = image.source.path if image.source else "image"
        raise InputError(f"{name}: no body in it; give a mask")
    slices_along = next(voxel for voxel, (world, _) in enumerate(image.geometry.axes) if world == 2)
    return filled(largest(bright), slices_along)


def rule_of(image: MedicalImage) -> str:
    """How `body_of` finds the body, in words for a result file."""
    return CT_RULE if is_ct(image) else MRI_RULE


def is_ct(image: MedicalImage) -> bool:
    """Whether the numbers are HU; where the file does not say, air as dark as only CT has it."""
    if image.kind is None:
        return bool(image.voxels.min() <= AIR_AT_MOST_HU)
    return image.kind.modality is Modality.CT


def _bright(voxels: Num[np.ndarray, "i j k"]) -> Bool[np.ndarray, "i j k"]:
    smooth = ndimage.gaussian_filter(voxels.astype(np.float32), 1)
    above = voxels[voxels > voxels.min()]
    return smooth - voxels.min() > MRI_SHARE * (np.percentile(above, 99) - voxels.min())


def largest(mask: Bool[np.ndarray, "i j k"], share: float = 1.0) -> Bool[np.ndarray, "i j k"]:
    """The largest of the pieces that touch by their faces.

    Args:
        mask: The voxels.
        share: Of the largest's size: pieces at least as large are kept as well.
    """
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0  # what is no piece
    kept: Bool[np.ndarray, "i j k"] = (sizes >= share * sizes.max())[labels]
    return kept


def filled(body: Bool[np.ndarray, "i j k"], axis: int) -> Bool[np.ndarray, "i j k"]:
    """Holes closed slice by slice: a nostril opens a volume, seldom a slice."""
    slices = [ndimage.binary_fill_holes(part) for part in np.moveaxis(body, axis, 0)]
    return np.moveaxis(np.stack(slices), 0, axis)
