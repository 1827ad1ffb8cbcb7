"""A head made of formulas: anatomy for everybody who has no label maps.

Sizes are in mm, of adults: head breadth, length and height from the ANSUR II survey (Gordon et al.
2014), skull and its tables from Lillie et al. 2016 (10.1016/j.jbiomech.2016.05.003), scalp from
Oh et al. 2005, cortex from Fischl & Dale 2000 (10.1073/pnas.200033797), globe from Bekerman et al.
2014 (10.1155/2014/503645) and pupils' distance from Dodgson 2004 (10.1117/12.529999), trachea from
Breatnach et al. 1984, cervical canal from Gupta et al. 1982, sinuses and the rest from atlases.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from medgen.phantom.anatomy import Anatomy
from medgen.phantom.brain import paint_brain
from medgen.phantom.canvas import Canvas, ellipsoid, smooth_min
from medgen.phantom.face import (
    paint_eyes,
    paint_jaws,
    paint_neck,
    paint_sinuses,
    paint_skull_base,
)
from medgen.phantom.field import Shape, normal, smooth_field, uniform
from medgen.phantom.tissue import Tissue

EXTENT_MM = (184.0, 238.0, 258.0)
"""Right to left, back to front and neck to vertex, with air around the largest head."""
MIDDLE_MM = (0.0, 6.0, -36.0)  # of that box, seen from the middle of the cerebrum
CORTICAL, MARROW = Tissue.CORTICAL_BONE, Tissue.MARROW

Distance = Float[Tensor, "i j k"]


@dataclass(frozen=True)
class HeadSizes:
    """What differs between people, mm.

    Attributes:
        scale: All of the head, relative to the average.
        half_breadth: Half the breadth of the cranial cavity.
        half_length: Half its length.
        half_height: From the middle of the cerebrum to the inside of the vertex.
        skull: Thickness of the vault: both tables and the diploe.
        outer_table: Outer layer of dense bone.
        inner_table: Inner layer of dense bone.
        scalp: Skin, fat and galea over the vault.
        fluid: Cerebrospinal fluid between brain and skull.
        ventricle: Width of the ventricles relative to the average.
    """

    scale: float
    half_breadth: float
    half_length: float
    half_height: float
    skull: float
    outer_table: float
    inner_table: float
    scalp: float
    fluid: float
    ventricle: float

    @classmethod
    def random(cls, generator: Generator) -> "HeadSizes":
        """Another adult."""
        return cls(
            scale=max(0.92, min(1.06, 1 + 0.03 * normal(generator))),
            half_breadth=uniform(61, 66, generator),
            half_length=uniform(80, 87, generator),
            half_height=uniform(64, 70, generator),
            skull=uniform(5.8, 7.8, generator),
            outer_table=uniform(1.9, 2.6, generator),
            inner_table=uniform(1.5, 2.1, generator),
            scalp=uniform(4.5, 7.0, generator),
            fluid=uniform(1.5, 3.0, generator),
            ventricle=uniform(0.7, 1.4, generator),
        )


def procedural_head(
    generator: Generator, *, spacing: float = 1.0, shape: Shape | None = None
) -> Anatomy:
    """Draw a head; the same generator gives the same head.

    Args:
        generator: Source of the person.
        spacing: Voxel size, mm; tables of the skull need 1.
        shape: Voxels along Right, Anterior, Superior; None holds the whole head and neck.
    """
    shape = shape or whole_head(spacing)
    sizes = HeadSizes.random(generator)
    canvas = Canvas.empty(shape, spacing / sizes.scale, MIDDLE_MM)
    cavity = _cavity(canvas, sizes)
    uneven = smooth_field(shape, 40 / canvas.spacing, generator)[0]
    skull = _skull_thickness(canvas, sizes, uneven)
    depth = _outside(canvas, cavity - skull - sizes.scalp).neg_()
    _soft_tissue(canvas, depth, cavity - skull)
    paint_neck(canvas, depth, generator)
    paint_jaws(canvas, depth, generator)
    _skull(canvas, cavity, skull, sizes)
    paint_skull_base(canvas, generator)
    paint_brain(canvas, cavity, fluid=sizes.fluid, ventricle=sizes.ventricle, generator=generator)
    _foramen_magnum(canvas)
    front = 0.985 * sizes.half_length + 0.5 * sizes.skull
    paint_sinuses(canvas, cavity, front=front, generator=generator)
    paint_eyes(canvas)
    return Anatomy("procedural", canvas.tissue, (spacing,) * 3)


def whole_head(spacing: float) -> Shape:
    """Voxels of a grid that holds every procedural head."""
    i, j, k = (math.ceil(extent / spacing) for extent in EXTENT_MM)
    return i, j, k


def _cavity(canvas: Canvas, sizes: HeadSizes) -> Distance:
    """Distance from the cranial cavity, negative inside: cerebrum above, cerebellum below."""
    x, y, z = canvas.axes
    narrow = 1 + 0.10 * (y / sizes.half_length)  # an egg: narrower at the forehead
    radii = (sizes.half_breadth, sizes.half_length, sizes.half_height)
    cerebrum = ellipsoid(x * narrow, y, z, (0, 0, 0), radii)
    sella = 19 * torch.exp(-((x / 14) ** 2)) * torch.sigmoid((y + 4) / 3)
    sella = sella * torch.sigmoid((24 - y) / 3)
    floor = -21 - 20 * torch.sigmoid((24 - y) / 4) + sella
    cerebrum = -smooth_min(-cerebrum, z - floor, 8)
    fossa = ellipsoid(x, y, z, (0, -40, -40), (0.8 * sizes.half_breadth, 38, 29))
    return smooth_min(cerebrum, fossa, 6)


def _skull_thickness(canvas: Canvas, sizes: HeadSizes, uneven: Distance) -> Distance:
    """Thin at the temples, thick at the back, uneven everywhere."""
    x, y, z = canvas.axes
    temple = torch.sigmoid((x.abs() - 52) / 4) * torch.sigmoid((12 - z) / 8)
    back = torch.exp(-(((y + sizes.half_length) / 25) ** 2)) * torch.exp(-((x / 30) ** 2))
    return sizes.skull * (1 - 0.4 * temple + 0.3 * back) * (1 + 0.12 * uneven)


def _outside(canvas: Canvas, cranium: Distance) -> Distance:
    """Distance from the skin, negative inside: cranium, face, nose, chin and neck."""
    x, y, z = canvas.axes
    face = ellipsoid(x, y, z, (0, 36, -62), (66, 59, 64))
    chin = ellipsoid(x, y, z, (0, 62, -108), (30, 32, 20))
    nose = ellipsoid(x, y, z, (0, 97, -60), (12, 19, 18))
    middle = -14 + 0.06 * (z + 70)  # the neck leans forward
    neck = torch.hypot(x / 1.02, y - middle + 0 * z) - 55 - 0.0008 * (z + 110) ** 2
    neck = torch.maximum(neck, z + 55)
    head = smooth_min(smooth_min(cranium, face, 14), chin, 16)
    head = smooth_min(smooth_min(head, nose, 8), neck, 18)
    for side in (-1, 1):
        ear = ellipsoid(x, y, z, (side * 73, -14, -34), (6, 15, 26))
        head = smooth_min(head, ear, 7)
    return head


def _soft_tissue(canvas: Canvas, depth: Distance, from_skull: Distance) -> None:
    """Skin, fat beneath it, and muscle and fat beneath that."""
    x, _, z = canvas.axes
    canvas.paint(depth > 0, Tissue.MUSCLE)  # skin has muscle's HU and relaxation, nearly
    canvas.paint(depth > 1.5, Tissue.SCALP)
    cheek = 2.5 * torch.sigmoid((-z - 40) / 8)
    canvas.paint(depth > 4.5 + cheek, Tissue.SOFT)
    temple = (from_skull < 10) & (x.abs() > 45) & (z < 18) & (z > -45) & (depth > 5)
    canvas.paint(temple, Tissue.MUSCLE)


def _skull(canvas: Canvas, cavity: Distance, skull: Distance, sizes: HeadSizes) -> None:
    """The vault: outer table, diploe, inner table."""
    canvas.paint((cavity > 0) & (cavity < skull), CORTICAL)
    diploe = (cavity > sizes.inner_table) & (cavity < skull - sizes.outer_table)
    canvas.paint(diploe, MARROW)


def _foramen_magnum(canvas: Canvas) -> None:
    """The hole that the cord leaves the skull by."""
    part, _ = canvas.part((-15, -44, -79), (15, -14, -62))
    x, y, _ = part.axes
    bone = (part.tissue == int(CORTICAL)) | (part.tissue == int(MARROW))
    part.paint((torch.hypot(x / 1.05, y + 29) < 13) & bone, Tissue.CSF)
    canvas.paint_path(((0, -24, -60), (0, -31, -80)), 5.4, Tissue.WHITE_MATTER)
