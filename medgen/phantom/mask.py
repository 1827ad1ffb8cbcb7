"""Masks: where in a simulated body each finding is, and what of a radiograph it shades."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, UInt8
from torch import Tensor

from medgen.phantom.fact import Fact
from medgen.phantom.projection import Beam, fitting_detector, project, seen_along

FULL = 0.5  # of its greatest share: what a disease takes more of a voxel than that belongs to it
COARSE = 3  # pixels, a side, that are projected as one
SHADE_MM = 2.0  # of a finding along a ray: less is not seen


def masks_of(
    facts: Iterable[Fact], body: UInt8[Tensor, "i j k"]
) -> dict[str, Bool[Tensor, "i j k"]]:
    """The voxels of each finding by its name: one on both sides has one mask.

    Args:
        facts: Of a patient; those that are nowhere have no mask.
        body: On whose voxels they lie, Right, Anterior, Superior.
    """
    masks: dict[str, Tensor] = {}
    for fact in facts:
        for overlay in fact.where:
            share = overlay.share
            mask = masks.setdefault(fact.finding.name, torch.zeros_like(body, dtype=torch.bool))
            mask[overlay.box] |= share > FULL * share.max()
    return {name: mask for name, mask in masks.items() if mask.any()}


def shaded(
    mask: Bool[Tensor, "i j k"], spacing: tuple[float, float, float], beam: Beam, pixel_mm: float
) -> Bool[Tensor, "rows columns"]:
    """The pixels of a radiograph whose rays pass through a mask.

    Args:
        mask: On the grid of the volume that the radiograph is of.
        spacing: Along Right, Anterior, Superior, mm.
        beam: Tube and detector.
        pixel_mm: Side of a pixel.
    """
    volume, turned = seen_along(mask.float(), spacing, beam.view)
    depth, rows, columns = volume.shape
    fine, coarse = (
        fitting_detector((depth, rows, columns), turned, beam, pixel)
        for pixel in (pixel_mm, COARSE * pixel_mm)
    )
    shadow = project(volume, turned, beam, coarse)[None]
    return F.interpolate(shadow, (fine.rows, fine.columns), mode="bilinear")[0, 0] > SHADE_MM
