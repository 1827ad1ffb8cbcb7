"""A woven scan: its voxels, who owns which of them, and what its regions look like."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped, UInt8

from medgen.concepts.masks import shared_out
from medgen.data.intensity import HOUNSFIELD, Window
from medgen.io.image import MedicalImage
from medgen.tasks.weaving.bank import Look, look_of, noise_ratio, seam_ratio

LOG = logging.getLogger(__name__)

Region = Bool[np.ndarray, "*space"]


@dataclass(frozen=True)
class Finding:
    """What a woven region looks like.

    Attributes:
        name: What was woven.
        voxels: Of the region.
        volume_ml: The same; None where nobody knows how large a voxel is, or of radiographs.
        area_mm2: Of a radiograph whose pixels have a known size.
        before: What the region looked like; in the unit of the scan.
        after: What it looks like; in the unit of the scan.
        distance: From the concept's examples, in their spreads, by what is measured; empty where
            there are none.
        seam: How steep its border is beside both sides of it; 1 does not show.
        seam_before: The same of the scan as it was.
        noise: Its grain beside that of its surroundings; 1 is the same.
        strength: How many times what the flow made was added, to look as the examples do.
    """

    name: str
    voxels: int
    volume_ml: float | None
    area_mm2: float | None
    before: Look
    after: Look
    distance: dict[str, float]
    seam: float
    seam_before: float
    noise: float
    strength: float = 1.0


@dataclass(frozen=True)
class Woven:
    """A woven scan.

    Attributes:
        image: On the scan's voxels, in its type.
        changed: The voxels that may differ; all others are the scan's, bit by bit.
        labels: 1 where the first of what was woven is, and so on; 0 elsewhere.
        findings: What each region looks like.
    """

    image: MedicalImage
    changed: Region
    labels: Shaped[np.ndarray, "*space"]
    findings: tuple[Finding, ...]


def steps_of(image: MedicalImage) -> tuple[float, ...]:
    """Of the voxels, mm; 1 where nobody knows."""
    return image.geometry.spacing[: image.voxels.ndim]


def labels_of(
    dense: Bool[np.ndarray, "parts *space"], names: Sequence[str]
) -> UInt8[np.ndarray, "*space"]:
    """Whose each voxel is, from 1: of regions that overlap, by the rules of `shared_out`.

    A warning tells of an overlap, and of a region of which nothing is left.

    Args:
        dense: The regions.
        names: What is woven there.
    """
    regions = torch.from_numpy(dense)
    owner = shared_out(regions, regions).argmax(0).numpy() + 1
    labels = np.where(dense.any(0), owner, 0).astype(np.uint8)
    shared = int((dense.sum(0) > 1).sum())
    if shared:
        LOG.warning("regions overlap in %d voxels; the mask gives each of them to one", shared)
    for at, name in enumerate(names, start=1):
        if not (labels == at).any():
            LOG.warning("%s: its region lies within another one and is left out", name)
    return labels


def added(
    image: MedicalImage,
    change: Float[np.ndarray, "*space"],
    changed: Region,
    window: Window,
) -> Shaped[np.ndarray, "*space"]:
    """The scan with a change in some voxels; their type stays, and no value leaves its range.

    Args:
        image: The scan.
        change: What is added, in the scan's unit.
        changed: Where; all other voxels stay, bit by bit.
        window: Of the scan; that of Hounsfield units widens the range, which is the scan's own.
    """
    low, high = float(image.voxels.min()), float(image.voxels.max())
    if window == HOUNSFIELD:
        low, high = min(low, window.low), max(high, window.high)
    values = image.voxels[changed].astype(np.float64) + change[changed]
    values = values.clip(low, high)
    voxels = image.voxels.copy()
    is_whole = np.issubdtype(voxels.dtype, np.integer)
    voxels[changed] = (np.rint(values) if is_whole else values).astype(voxels.dtype)
    return voxels


def measured(name: str, region: Region, image: MedicalImage, woven: MedicalImage) -> Finding:
    """What a region looks like, before and after; how far from its examples is not said.

    Args:
        name: What was woven.
        region: Not empty.
        image: The scan as it was.
        woven: What became of it.
    """
    before, after = image.voxels, woven.voxels
    count = int(region.sum())
    size = float(np.prod(steps_of(image))) if image.spacing_is_known else None
    is_flat = region.ndim == 2
    return Finding(
        name=name,
        voxels=count,
        volume_ml=None if is_flat or size is None else round(count * size / 1000, 4),
        area_mm2=round(count * size, 2) if is_flat and size is not None else None,
        before=look_of(before, region),
        after=look_of(after, region),
        distance={},
        seam=seam_ratio(after, region),
        seam_before=seam_ratio(before, region),
        noise=noise_ratio(after, region),
    )
