"""What is inside the skull: folded cortex, white matter, deep nuclei, ventricles, cerebellum."""

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from medgen.phantom.canvas import Canvas
from medgen.phantom.field import uniform
from medgen.phantom.tissue import Tissue

WAVES = 14  # whose sum makes the pattern of the folds
CORTEX_MM = 2.9  # thickness of grey matter, Fischl & Dale 2000
GREY, WHITE, CSF = Tissue.GREY_MATTER, Tissue.WHITE_MATTER, Tissue.CSF

Points = Float[Tensor, "voxels"]
Distance = Float[Tensor, "i j k"]


def paint_brain(
    canvas: Canvas, cavity: Distance, *, fluid: float, ventricle: float, generator: Generator
) -> None:
    """Fill the cranial cavity.

    Args:
        canvas: Where.
        cavity: Distance from the inside of the skull, mm, negative inside.
        fluid: Thickness of the fluid over the brain, mm.
        ventricle: Width of the ventricles, relative to the average.
        generator: Source of the folds.
    """
    canvas.paint(cavity < 0, CSF)
    _cerebrum(canvas, cavity, fluid, generator)
    _deep(canvas, ventricle)
    _cerebellum(canvas, cavity, fluid)
    _stem(canvas)
    _veins(canvas, cavity)


def _cerebrum(canvas: Canvas, cavity: Distance, fluid: float, generator: Generator) -> None:
    """Cortex along the surface and along folds that run perpendicular to it."""
    x, y, z = canvas.axes
    index = ((cavity < -fluid) & (_tentorium(canvas) > 1)).nonzero(as_tuple=True)
    i, j, k = index
    point = x.flatten()[i], y.flatten()[j], z.flatten()[k]
    depth = -cavity[index] - fluid
    fold, reach = sulci(*point, generator)
    sylvian = _sylvian(*point)
    deep = (depth - reach).clamp(min=0)
    fold = torch.hypot(fold, deep)  # from the bottom of a fold, below it
    middle = point[0].abs() + 0 * depth
    callosum = torch.hypot(point[1] / 3.0, point[2] - 2)
    middle = torch.hypot(middle, (20 - callosum).clamp(min=0))
    fissure = torch.minimum(middle - 0.3, sylvian)
    open_mm = uniform(0.4, 0.9, generator)
    wall = torch.minimum(fold, fissure)
    painted = torch.full_like(depth, int(WHITE), dtype=torch.uint8)
    near = torch.minimum(depth, wall - open_mm)
    painted[near < CORTEX_MM] = int(GREY)
    painted[wall < open_mm] = int(CSF)
    canvas.tissue[index] = painted


def sulci(x: Points, y: Points, z: Points, generator: Generator) -> tuple[Points, Points]:
    """Distance from the nearest fold, and how deep folds go there, mm.

    A fold is where a sum of plane waves over the brain's surface is 0; its value over its
    gradient is the distance to first order. Waves of 13 to 22 mm put folds about 13 mm apart.
    """
    far = torch.sqrt(x * x + y * y + z * z).clamp(min=1)
    shares = [(0.25 + 0.75 * 70 / far) * axis for axis in (x, y, z)]  # nearly radial sheets
    direction = torch.randn(WAVES, 3, generator=generator)
    direction = direction / direction.norm(dim=1, keepdim=True)
    length = 13 + 9 * torch.rand(WAVES, generator=generator)
    wave = (direction * (2 * math.pi / length)[:, None]).tolist()
    phase = (2 * math.pi * torch.rand(WAVES, generator=generator)).tolist()
    value, slopes = torch.zeros_like(x), [torch.zeros_like(x) for _ in range(3)]
    for (a, b, c), start in zip(wave, phase, strict=True):
        angle = a * shares[0] + b * shares[1] + c * shares[2] + start
        value += angle.cos()
        sine = angle.sin_()
        for slope, step in zip(slopes, (a, b, c), strict=True):
            slope.add_(sine, alpha=step)
    steep = torch.sqrt(slopes[0] ** 2 + slopes[1] ** 2 + slopes[2] ** 2)
    reach = 13 + 5 * torch.sin(x / 17 + phase[0]) * torch.cos(y / 21 + phase[1])
    stretch = 0.25 + 0.75 * 70 / far  # distances on the sphere are longer than deep inside
    return value.abs() / (steep * stretch).clamp(min=0.05), reach


def _sylvian(x: Points, y: Points, z: Points) -> Points:
    """Distance from the lateral fissure: a sheet above the temporal lobe, open to the side."""
    sheet = (z + 10 - 0.25 * (12 - y) + 2 * torch.sin(y / 7) + torch.sin(x / 3)).abs()
    beyond = (38 - x.abs()).clamp(min=0) + (y - 34).clamp(min=0) + (-38 - y).clamp(min=0)
    return torch.hypot(sheet - 0.6, beyond).clamp(min=0)


def _deep(canvas: Canvas, ventricle: float) -> None:
    """Nuclei, then ventricles."""
    for side in (-1, 1):
        canvas.paint_path(((side * 9, 4, 2), (side * 12, -14, 3)), 7.5, GREY)  # thalamus
        canvas.paint_ellipsoid((side * 25, 6, 1), (6, 18, 10), GREY)  # putamen
        canvas.paint_ellipsoid((side * 18, 3, -1), (3.5, 8, 6), WHITE)  # internal capsule
        canvas.paint_path(((side * 13, 26, 6), (side * 15, -8, 16)), 4.5, GREY, end=3)  # caudate
        canvas.paint_path(((side * 26, -2, -24), (side * 28, -28, -14)), 5, GREY)  # hippocampus
    for side in (-1, 1):
        wide = 5.5 * ventricle
        horn = (side * 6, 30, 7), (side * 9, 4, 15)
        canvas.paint_path(horn, 0.8 * wide, CSF, end=0.9 * wide)
        canvas.paint_path((horn[1], (side * 18, -28, 12)), 0.9 * wide, CSF, end=1.25 * wide)
        canvas.paint_path(((side * 18, -28, 12), (side * 21, -52, 4)), wide, CSF, end=1.5)
        temporal = (side * 19, -28, 10), (side * 30, -16, -14), (side * 28, 2, -22)
        canvas.paint_path(temporal, 0.45 * wide, CSF)
    canvas.paint_ellipsoid((0, -2, 0), (2.2 * ventricle, 13, 9), CSF)  # third ventricle


def _cerebellum(canvas: Canvas, cavity: Distance, fluid: float) -> None:
    """Below the tentorium: thin leaves of grey matter around a white core."""
    x, y, z = canvas.axes
    part = (cavity < -fluid) & (_tentorium(canvas) < -1)
    canvas.paint(part, GREY)
    radius = torch.hypot(y + 38, z + 42)
    angle = torch.atan2(z + 42, y + 38)
    leaves = torch.cos(13 * angle + 0.05 * x.abs()) > 0.86
    deep = cavity < -fluid - 3
    canvas.paint(part & deep & leaves & (radius > 8), WHITE)
    for side in (-1, 1):
        canvas.paint_ellipsoid((side * 20, -40, -42), (15, 12, 9), WHITE, over=(GREY,))
    gap = ((radius > 12) & (torch.sin(13 * angle + 0.05 * x.abs()) > 0.985)) & part
    canvas.paint(gap, CSF)


def _tentorium(canvas: Canvas) -> Distance:
    """Distance from what parts cerebrum (positive) and cerebellum (negative)."""
    x, y, z = canvas.axes
    roof = -18 - 0.12 * x.abs() - 0.003 * x * x + 0.10 * (y + 40)
    return torch.maximum(z - roof, y + 10 + 0.12 * (z + 40))


def _stem(canvas: Canvas) -> None:
    """Midbrain, pons and medulla in their cisterns, and the fourth ventricle."""
    path = (0, -12, -10), (0, -13, -34), (0, -26, -66)
    canvas.paint_path(path[:2], 15, CSF, over=(GREY, WHITE, CSF), where=canvas.axes[2] < -14)
    canvas.paint_path(path[:2], 12.5, WHITE)
    canvas.paint_path(path[1:], 14, CSF, over=(GREY, WHITE, CSF), end=8)
    canvas.paint_path(path[1:], 12, WHITE, end=5.5, over=(GREY, WHITE, CSF))
    canvas.paint_ellipsoid((0, -12, -34), (15, 11, 12), WHITE, over=(GREY, WHITE, CSF))  # pons
    canvas.paint_ellipsoid((0, -28, -38), (5, 4, 9), CSF)


def _veins(canvas: Canvas, cavity: Distance) -> None:
    """The sagittal sinus under the vault, the transverse sinuses, and the basilar artery."""
    x, y, z = canvas.axes
    canvas.paint(
        (x.abs() < 4 + 0.6 * cavity) & (cavity < 0) & (cavity > -7) & (z > -8), Tissue.VESSEL
    )
    level = (z + 14).abs() < 4
    canvas.paint(level & (y < -38) & (cavity < 0) & (cavity > -4), Tissue.VESSEL)
    canvas.paint_path(((0, 1, -30), (0, -4, -44)), 1.7, Tissue.VESSEL)
