"""Projection: the shadow of a body in a cone beam, slice by slice.

The detector lies parallel to the slices of a volume, so every slice casts a shadow that is itself,
magnified; the shadows add up. Along a ray this is Joseph's method: linear between the voxels of a
slice, and the ray's slant times the distance of the slices from one to the next.
Source: Joseph 1982 (10.1109/TMI.1982.4307572).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

View = Literal["pa", "ap", "lateral"]
Slices = Float[Tensor, "depth rows columns"]
SLICES_AT_ONCE = 16


@dataclass(frozen=True)
class Beam:
    """Where the tube and the detector are.

    Attributes:
        view: `pa` and `ap` lie on the detector with the chest and the back; `lateral` with the
            left side.
        source_mm: Distance of the tube's focus from the detector.
        gap_mm: Distance of the detector from the nearest voxel.
    """

    view: View = "pa"
    source_mm: float = 1800.0
    gap_mm: float = 30.0


@dataclass(frozen=True)
class Detector:
    """A flat grid of square pixels whose middle the central ray meets.

    Attributes:
        rows: Down the patient.
        columns: Across: to the patient's left in a frontal view, to the back in a lateral one.
        pixel_mm: Side of a pixel.
    """

    rows: int
    columns: int
    pixel_mm: float


def seen_along(
    volume: Float[Tensor, "i j k"], spacing: tuple[float, float, float], view: View
) -> tuple[Slices, tuple[float, float, float]]:
    """Turn a volume for a view: from the detector to the tube, then down, then across.

    Args:
        volume: Axes Right, Anterior, Superior.
        spacing: Along those, mm.
        view: How it is looked at.

    Returns:
        The same voxels as the viewer sees them, who stands before the patient in a frontal view,
        and to whose left the patient looks in a lateral one; and their spacing.
    """
    right, front, up = spacing
    if view == "lateral":
        # left side first; the head above; the front at the viewer's left
        return volume.permute(0, 2, 1).flip(1, 2), (right, up, front)
    turned = volume.permute(1, 2, 0).flip(1, 2)  # the back first; right side at the left
    return (turned.flip(0) if view == "pa" else turned), (front, up, right)


def fitting_detector(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], beam: Beam, pixel_mm: float
) -> Detector:
    """The smallest detector that the whole shadow of a volume falls on.

    Args:
        shape: Voxels along depth, rows and columns, as `seen_along` returns them.
        spacing: Along those, mm.
        beam: Tube and detector.
        pixel_mm: Side of a pixel.
    """
    farthest = beam.gap_mm + (shape[0] - 0.5) * spacing[0]
    scale = beam.source_mm / (beam.source_mm - farthest)
    rows, columns = (
        max(1, round(scale * size * step / pixel_mm))
        for size, step in zip(shape[1:], spacing[1:], strict=True)
    )
    return Detector(rows, columns, pixel_mm)


def project(
    volume: Slices,
    spacing: tuple[float, float, float],
    beam: Beam,
    detector: Detector,
    *,
    quantities: Callable[[Slices], Float[Tensor, "channels depth rows columns"]] | None = None,
) -> Float[Tensor, "channels height width"]:
    """Integrate a volume along the rays from the tube to every pixel.

    Args:
        volume: As `seen_along` turns it; nothing beyond it.
        spacing: Along depth, rows and columns, mm.
        beam: Tube and detector.
        detector: The pixels.
        quantities: What is integrated, made of a few slices at a time, so that a large volume is
            never held twice. None: the voxels themselves, one channel.

    Returns:
        Those quantities times mm.

    Raises:
        ValueError: If the tube is inside the volume.
    """
    depth, *size = volume.shape
    distances = beam.gap_mm + (torch.arange(depth) + 0.5) * spacing[0]
    if distances[-1] + spacing[0] / 2 >= beam.source_mm:
        raise ValueError(f"the volume reaches the tube, {beam.source_mm:g} mm from the detector")
    v, u = (
        (torch.arange(count) - (count - 1) / 2) * detector.pixel_mm
        for count in (detector.rows, detector.columns)
    )
    shadow = torch.zeros(1, detector.rows, detector.columns, device=volume.device)
    for first in range(0, depth, SLICES_AT_ONCE):
        some = slice(first, first + SLICES_AT_ONCE)
        shrink = 1 - distances[some, None] / beam.source_mm
        # where each ray meets each slice, in grid_sample's units: the outer faces are -1 and 1
        down = 2 * v * shrink / (size[0] * spacing[1])
        across = 2 * u * shrink / (size[1] * spacing[2])
        grid = torch.stack(
            [
                across[:, None, :].expand(-1, detector.rows, -1),
                down[:, :, None].expand(-1, -1, detector.columns),
            ],
            dim=-1,
        ).to(volume)
        slices = quantities(volume[some]) if quantities else volume[None, some]
        shadows = F.grid_sample(slices.movedim(1, 0), grid, align_corners=False)
        shadow = shadow + shadows.sum(0)
    slant = torch.sqrt(1 + (v[:, None].square() + u.square()) / beam.source_mm**2)
    return shadow * slant.to(volume) * spacing[0]
