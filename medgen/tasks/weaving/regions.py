"""Where a concept goes: a mask's file, a box, or a region of a label map, on the scan's voxels."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped

from medgen.data.body import body_of
from medgen.data.resample import Grid, resample
from medgen.errors import InputError, UsageError
from medgen.io import files
from medgen.io.image import MedicalImage
from medgen.modality import Modality
from medgen.tasks.preflight import share_covered
from medgen.tasks.weaving.names import named_region

LOG = logging.getLogger(__name__)
SAME_PLACE = 0.01  # of a voxel: affines that differ less are one grid
COVERED = 0.5  # of the field of a mask, at least, is in the scan's
INSIDE = 0.5  # of a region, at least, lies in the body
BLACK = 0.02  # of the range of a radiograph: no more than that is no body

Region = Bool[np.ndarray, "*space"]


@dataclass(frozen=True)
class Place:
    """Where a concept goes, as a person or a recipe says it; one of the four.

    Attributes:
        mask: A file.
        box: First and last voxel along each axis: `10,20,5,15` for rows 10 to 20, columns 5 to 15.
        region: A name in a label map.
        labels: The map.
        drawn: The voxels of the scan themselves.
    """

    mask: Path | None = None
    box: str = ""
    region: str = ""
    labels: Path | None = None
    drawn: Region | None = field(default=None, compare=False, repr=False)

    @property
    def inputs(self) -> list[Path]:
        """The files that it names."""
        return [one for one in (self.mask, self.labels) if one]


def region_of(place: Place, image: MedicalImage) -> Region:
    """Where on a scan's voxels a concept goes; it may be nowhere.

    A mask on another grid of the same place is brought to that of the scan, with a warning.

    Raises:
        InputError: If a file cannot be read, or is of another place.
        UsageError: If a box lies outside of the scan, or a region has an unknown name.
    """
    if place.drawn is not None:
        return place.drawn
    if place.box:
        return _box(place.box, image)
    path = place.mask or place.labels
    if path is None:
        raise UsageError("--region: needs a label map; name it with --labels")
    read = _read(path, image)
    if place.mask:
        _warn_of_numbers(read, path)
        return _on_grid((read.voxels != 0).astype(np.float32), read, path, image)
    there = named_region(place.region, path, read.voxels)
    return _on_grid(there.astype(np.float32), read, path, image)


def check_inside(region: Region, image: MedicalImage, name: str, *, force: bool) -> None:
    """Refuse a region that lies beside the body.

    Raises:
        InputError: If less than half of it is in the body, and nobody forces it.
    """
    if not region.any():
        return
    if image.kind is not None and image.kind.modality is Modality.XRAY:
        low, high = float(image.voxels.min()), float(image.voxels.max())
        body = image.voxels > low + BLACK * (high - low)
    else:
        body = body_of(image)
    share = float(body[region].mean())
    if share >= INSIDE:
        return
    said = f"{name}: {share:.0%} of its region is inside of the body"
    if not force:
        raise InputError(f"{said}; move it, or add --force")
    LOG.warning("%s", said)


def _warn_of_numbers(mask: MedicalImage, path: Path) -> None:
    """Say if a mask has more numbers than a mask needs: it may be a label map, or a scan."""
    numbers = len(np.unique(mask.voxels))
    if numbers > 2:
        LOG.warning("%s: has %d different numbers; all but 0 are the region", path.name, numbers)


def _read(path: Path, image: MedicalImage) -> MedicalImage:
    if files.sniff(path) == "dicom":
        from medgen.io.dicom.segmentation import read_segmentation

        read = read_segmentation(path)
    else:
        read = files.read(path, is_mask=True)
    if read.voxels.ndim != image.voxels.ndim:
        raise InputError(
            f"{path}: has {read.voxels.ndim} axes and the scan {image.voxels.ndim}; "
            "draw the mask on the scan"
        )
    return read


def _on_grid(
    there: Float[np.ndarray, "*mask"], mask: MedicalImage, path: Path, image: MedicalImage
) -> Region:
    """A mask on the scan's voxels."""
    if there.ndim == 2:
        return _on_pixels(there, path, image)
    own, wanted = mask.geometry.affine, image.geometry.affine
    is_near = np.abs(own - wanted).max() <= SAME_PLACE * min(image.geometry.spacing)
    if there.shape == image.voxels.shape and is_near:
        return there > 0.5
    covered = share_covered(mask, image)
    if covered < COVERED:
        raise InputError(
            f"{path}: {covered:.0%} of it is in the scan's field of view; are they of one patient "
            "and frame?"
        )
    LOG.warning("%s: is on another grid than the scan; resampled", path.name)
    i, j, k = image.voxels.shape
    return resample(there, mask.geometry, Grid((i, j, k), image.geometry), fill=0.0) >= 0.5


def _on_pixels(there: Float[np.ndarray, "*mask"], path: Path, image: MedicalImage) -> Region:
    rows, columns = image.voxels.shape
    if there.shape == (rows, columns):
        return there > 0.5
    if abs(there.shape[0] * columns - there.shape[1] * rows) > max(rows, columns):
        raise InputError(
            f"{path}: is {there.shape[0]} x {there.shape[1]} pixels, the radiograph {rows} x "
            f"{columns}, which is another shape; draw the mask on the radiograph"
        )
    LOG.warning("%s: has other pixels than the radiograph; resampled", path.name)
    picture = torch.from_numpy(there)[None, None]
    resized = F.interpolate(picture, (rows, columns), mode="bilinear", antialias=True)
    found: Shaped[np.ndarray, "rows columns"] = resized[0, 0].numpy() >= 0.5
    return found


def _box(word: str, image: MedicalImage) -> Region:
    axes = image.voxels.ndim
    try:
        numbers = [int(part) for part in word.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 2 * axes:
        raise UsageError(f"--box {word}: write first and last of each axis, {2 * axes} numbers")
    region = np.zeros(image.voxels.shape, bool)
    spans = list(zip(numbers[::2], numbers[1::2], strict=True))
    for (first, final), size in zip(spans, image.voxels.shape, strict=True):
        if not 0 <= first <= final < size:
            raise UsageError(f"--box {word}: goes from 0 to {size - 1} along an axis of {size}")
    region[tuple(slice(first, final + 1) for first, final in spans)] = True
    return region
