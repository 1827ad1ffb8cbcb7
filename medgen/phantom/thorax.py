"""A thorax made of formulas: chest wall, ribs, lungs with their lobes, heart and vessels.

Lengths are in mm, of adults; right, front and up count positive, from the middle of the chest at
the height of the tracheal bifurcation. Sources of the sizes: rib cage from Gayzik et al. 2008
(10.1016/j.jbiomech.2008.02.031) and Weaver et al. 2014, heart and cardiothoracic ratio from Danzer
1919, aorta from Hager et al. 2002 (10.1067/mtc.2002.122310), trachea from Breatnach et al. 1984,
vertebrae from Panjabi et al. 1991; the rest from atlases.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Generator, Tensor

from medgen.phantom.anatomy import Anatomy
from medgen.phantom.canvas import Canvas, ellipsoid, segment, smooth_min
from medgen.phantom.field import normal, smooth_field, uniform
from medgen.phantom.lung_vessels import draw_lung_vessels
from medgen.phantom.part import Part
from medgen.phantom.tissue import Tissue

EXTENT_MM = (392.0, 300.0, 336.0)
"""Right to left, back to front, abdomen to neck, with air around the largest chest."""
MIDDLE_MM = (0.0, 16.0, -26.0)
WIDEST = -50.0  # height where the rib cage is widest; below it the walls are upright
APEX = 112.0  # height of the top of the pleura
SQUARE = 2.3  # exponent of the rib cage's cross-section: 2 is an ellipse, more is squarer
CORTICAL, SPONGY = Tissue.CORTICAL_BONE, Tissue.SPONGY_BONE
SHELL = Tissue.MARROW

Distance = Float[Tensor, "i j k"]
Where = Bool[Tensor, "i j k"]


@dataclass(frozen=True)
class ThoraxSizes:
    """What differs between people, mm.

    Attributes:
        scale: All of the chest, relative to the average.
        half_breadth: Half the breadth of the pleural space.
        half_depth: Half its depth.
        fat: Thickness of the fat under the skin.
        muscle: Thickness of the muscle on the ribs.
        breast: Radius of a breast; 0 for none.
        heart: Size of the heart relative to the average.
        heart_turn: Angle of the heart's long axis from the horizontal, degrees.
        breath: How far the diaphragm has come down; 0 is a full breath, 30 hardly any.
        aorta: Radius of the aorta.
    """

    scale: float
    half_breadth: float
    half_depth: float
    fat: float
    muscle: float
    breast: float
    heart: float
    heart_turn: float
    breath: float
    aorta: float

    @classmethod
    def random(
        cls, generator: Generator, *, is_large_heart: bool, is_female: bool
    ) -> "ThoraxSizes":
        """Another adult."""
        fat = uniform(5, 28, generator)
        heart = uniform(1.14, 1.42, generator) if is_large_heart else uniform(0.86, 1.06, generator)
        return cls(
            scale=(0.95 if is_female else 1.02) * (1 + 0.03 * max(-2, min(2, normal(generator)))),
            half_breadth=uniform(122, 136, generator),
            half_depth=uniform(80, 96, generator),
            fat=fat,
            muscle=uniform(10, 17, generator) + (0 if is_female else 3),
            breast=uniform(24, 34, generator) + 0.5 * fat if is_female else 0.0,
            heart=heart,
            heart_turn=uniform(25, 50, generator),
            breath=uniform(0, 22, generator),
            aorta=uniform(11.5, 16.5, generator),
        )


def procedural_thorax(
    generator: Generator,
    *,
    spacing: float = 2.0,
    is_large_heart: bool = False,
    is_female: bool = False,
) -> Anatomy:
    """Draw a thorax; the same generator gives the same one.

    Args:
        generator: Source of the person.
        spacing: Voxel size, mm; ribs need 2.
        is_large_heart: Whether the heart is enlarged.
        is_female: Whose body it is.
    """
    sizes = ThoraxSizes.random(generator, is_large_heart=is_large_heart, is_female=is_female)
    i, j, k = (math.ceil(extent / spacing) for extent in EXTENT_MM)
    canvas = Canvas.empty((i, j, k), spacing / sizes.scale, MIDDLE_MM)
    cage = _cage(canvas, sizes, generator)
    body = _body(canvas, sizes)
    _wall(canvas, body, cage, sizes)
    part = torch.zeros((i, j, k), dtype=torch.uint8)
    _ribs(canvas, cage, part)
    _shoulders(canvas, cage)
    lungs = _lungs(canvas, cage, sizes)
    _abdomen(canvas, cage, lungs.dome, sizes, generator)
    canvas.paint(lungs.where, Tissue.LUNG)
    _mark_lobes(canvas, lungs.where, part, generator)
    _spine(canvas, sizes)
    _great_vessels(canvas, sizes)
    _heart(canvas, lungs.dome, sizes, part)
    _airways(canvas)
    draw_lung_vessels(canvas, part, generator)
    return Anatomy("procedural", canvas.tissue, (spacing,) * 3, part)


def _cage(canvas: Canvas, sizes: ThoraxSizes, generator: Generator) -> Distance:
    """Distance from the pleura along the ray from the middle of the chest; negative inside."""
    x, y, z = canvas.axes
    uneven = 1 + 0.012 * smooth_field(canvas.shape, 90 / canvas.spacing, generator)[0]
    up = (z - WIDEST).clamp(min=0)
    narrow = 1 - 0.10 * ((WIDEST - z).clamp(min=0) / 120).clamp(max=1)
    parts = (x / (sizes.half_breadth * narrow), y / sizes.half_depth, up / (APEX - WIDEST))
    power = sum((each.abs() ** SQUARE for each in parts), torch.zeros(()))
    k = (power ** (1 / SQUARE) * uneven).clamp(min=1e-3)
    radius = (x.square() + y.square() + up.square()).sqrt()
    return radius * (1 - 1 / k)


def _body(canvas: Canvas, sizes: ThoraxSizes) -> Distance:
    """Distance from the skin, negative inside: trunk, shoulders, neck and breasts."""
    x, y, z = canvas.axes
    wall = 9 + sizes.muscle + sizes.fat
    a, b = sizes.half_breadth + wall, sizes.half_depth + wall
    k = ((x / a).abs() ** SQUARE + ((y + 4) / b).abs() ** SQUARE) ** (1 / SQUARE)
    trunk = torch.hypot(x, y + 4) * (1 - 1 / k.clamp(min=1e-3))
    trunk = torch.maximum(trunk, 0.85 * (z - 88))
    thick = 44 + 0.6 * sizes.fat
    shoulders = segment(x, y, z, (-176, -14, 72), (176, -14, 72), thick)
    neck = torch.maximum(torch.hypot(x, y + 18) - 56 - 0.4 * sizes.fat + 0 * z, -(z - 60))
    body = smooth_min(smooth_min(trunk, shoulders, 45), neck, 40)
    for side in (-1, 1) if sizes.breast else ():
        size = sizes.breast
        low = -38 - 0.25 * size
        breast = ellipsoid(x, y, z, (side * 72, b - 16, low), (44 + 0.5 * size, size, 1.3 * size))
        body = smooth_min(body, breast, 14)
    return body


def _wall(canvas: Canvas, body: Distance, cage: Distance, sizes: ThoraxSizes) -> None:
    """Skin, the fat under it, muscle and the fat between."""
    _, y, _ = canvas.axes
    canvas.paint(body < 0, Tissue.MUSCLE)  # skin
    canvas.paint(body < -2, Tissue.FAT)
    front = (y > sizes.half_depth + 9 + sizes.muscle) & (body < -8)
    canvas.paint(front, Tissue.SOFT)  # glands among fat
    canvas.paint((body < -2 - sizes.fat) & (cage > 0), Tissue.SOFT)
    canvas.paint((cage < 7 + sizes.muscle) & (body < -2 - 0.5 * sizes.fat), Tissue.MUSCLE)
    canvas.paint((cage < 0) & (body < 0), Tissue.FAT)


def _ribs(canvas: Canvas, cage: Distance, part: UInt8[Tensor, "i j k"]) -> None:
    """Twelve pairs that slope down to the front, cartilage, and the breastbone."""
    at = ((cage > 0.4) & (cage < 8.8)).nonzero(as_tuple=True)  # a tenth of all voxels
    x, y, z = (axis.flatten()[index] for axis, index in zip(canvas.axes, at, strict=True))
    round_ = torch.atan2(x.abs(), -y)  # 0 at the spine, pi at the breastbone
    drop = (1 - torch.cos(round_)) / 2
    number = (104 - z - 45 * drop) / (24 + 5 * drop)
    nearest = number.round().clamp(0, 11)
    off = (number - nearest) * (24 + 5 * drop) * 0.85
    depth = cage[at] - 4.6
    reach = torch.where(nearest >= 10, 1.9, torch.where(nearest >= 7, 2.55, 3.2))
    bone = ((off / 7.0).square() + (depth / 4.6).square() < 1) & (round_ < reach) & (round_ > 0.12)
    cartilage = bone & (round_ > 2.5 - 0.06 * (nearest - 3).abs())
    found = canvas.tissue[at]
    found[bone] = int(CORTICAL)
    found[bone & ((off / 4.8).square() + (depth / 2.2).square() < 1)] = int(SPONGY)
    found[cartilage] = int(Tissue.CARTILAGE)
    canvas.tissue[at] = found
    lateral = bone & ~cartilage & (round_ > 0.7)
    side = torch.where(x > 0, int(Part.RIGHT_RIB), int(Part.LEFT_RIB))
    part[at] = (side * lateral).to(part)
    middle, box = canvas.part((-17, 0, -92), (17, 200, 62))
    middle.paint((cage[box] > 0.5) & (cage[box] < 12), CORTICAL)
    inner = (middle.axes[0].abs() < 15) & (cage[box] > 2) & (cage[box] < 10.5)
    middle.paint(inner, SPONGY)


def _shoulders(canvas: Canvas, cage: Distance) -> None:
    """Collar bones, shoulder blades and the heads of the arm bones."""
    over = (Tissue.MUSCLE, Tissue.SOFT, Tissue.FAT, Tissue.CARTILAGE)
    for side in (-1, 1):
        collar = ((side * 14, 74, 66), (side * 70, 62, 84), (side * 148, -2, 104))
        canvas.paint_path(collar, 6.5, CORTICAL, over=over)
        canvas.paint_path(collar, 4.2, SPONGY, over=(CORTICAL,))
        spine = ((side * 62, -108, 62), (side * 112, -88, 84), (side * 150, -40, 100))
        canvas.paint_path(spine, 6, CORTICAL, over=over)
        arm = ((side * 168, -18, 74), (side * 210, -24, 20))
        canvas.paint_ellipsoid(arm[0], (24, 24, 25), CORTICAL, over=over)
        canvas.paint_path(arm, 12, CORTICAL, over=over)
        canvas.paint_ellipsoid(arm[0], (22, 22, 23), SPONGY, over=(CORTICAL,))
        canvas.paint_path(arm, 7, Tissue.FAT, over=(CORTICAL,))
    x, y, z = canvas.axes
    blade = (x.abs() > 58) & (y < -20) & (z < 72) & (z > -75) & (cage > 13) & (cage < 17)
    inner = x.abs() < 118 - 0.42 * (72 - z)
    outer = x.abs() > 62 + 0.05 * (72 - z)
    muscle = (canvas.tissue == int(Tissue.MUSCLE)) | (canvas.tissue == int(Tissue.SOFT))
    canvas.paint(blade & inner & outer & muscle, CORTICAL)


@dataclass(frozen=True)
class Lungs:
    """Where the lungs end.

    Attributes:
        where: Voxels of both lungs.
        dome: Height above the diaphragm, mm.
    """

    where: Where
    dome: Distance


def _lungs(canvas: Canvas, cage: Distance, sizes: ThoraxSizes) -> Lungs:
    """What is inside the pleura, above the diaphragm and beside the mediastinum."""
    x, y, z = canvas.axes
    domes = []
    for side, top in ((1, -78.0), (-1, -92.0)):
        across = ((x - side * 66) / 72).square() + ((y - 4) / sizes.half_depth).square()
        domes.append(top + sizes.breath - 74 * across.clamp(max=1.6) ** 1.2)
    height = torch.where(x > 0, domes[0], domes[1])
    blend = torch.sigmoid(x / 6)
    height = torch.lerp(domes[1], domes[0], blend)
    dome = z - height
    mediastinum = 21 + 9 * torch.exp(-(((y + sizes.half_depth) / 32) ** 2))
    mediastinum = mediastinum - 13 * torch.sigmoid((y - 0.45 * sizes.half_depth) / 8)
    mediastinum = mediastinum + 12 * torch.sigmoid((z - 62) / 10) * torch.sigmoid((y + 30) / 10)
    where = (cage < -2) & (dome > 0) & (x.abs() > mediastinum)
    return Lungs(where, dome)


def _mark_lobes(
    canvas: Canvas, lungs: Where, part: UInt8[Tensor, "i j k"], generator: Generator
) -> None:
    """Divide the lungs at the oblique and the horizontal fissure."""
    x, y, z = canvas.axes
    bend = 6 * smooth_field(canvas.shape, 60 / canvas.spacing, generator)[0]
    oblique = uniform(-35, -15, generator) - uniform(1.0, 1.3, generator) * (y + 78) + 80
    horizontal = uniform(-12, 6, generator)
    lower = z + bend < oblique
    right, left = lungs & (x > 0), lungs & (x < 0)
    part.masked_fill_(left, int(Part.LEFT_UPPER_LOBE))
    part.masked_fill_(left & lower, int(Part.LEFT_LOWER_LOBE))
    part.masked_fill_(right, int(Part.RIGHT_UPPER_LOBE))
    part.masked_fill_(right & (z + bend < horizontal), int(Part.RIGHT_MIDDLE_LOBE))
    part.masked_fill_(right & lower, int(Part.RIGHT_LOWER_LOBE))


def _abdomen(
    canvas: Canvas, cage: Distance, dome: Distance, sizes: ThoraxSizes, generator: Generator
) -> None:
    """Liver, spleen and stomach under the diaphragm, among fat and bowel."""
    x, y, z = canvas.axes
    below = (cage < -1) & (dome < 0)
    canvas.paint(below, Tissue.MUSCLE)  # the diaphragm
    deep = below & (dome < -4) & (cage < -5)
    canvas.paint(deep, Tissue.SOFT)
    canvas.paint(deep & (x > -45 + 0.6 * (-y)), Tissue.LIVER)
    canvas.paint_ellipsoid((-92, -42, -132), (34, 42, 50), Tissue.SPLEEN, where=deep)
    top = -108 + sizes.breath
    size, across = uniform(0.45, 1.0, generator), uniform(-84, -56, generator)
    middle, radii = (across, 30, top - 42 * size), (34 * size, 36 * size, 42 * size)
    wall = (radii[0] + 4, radii[1] + 4, radii[2] + 4)
    canvas.paint_ellipsoid(middle, wall, Tissue.MUSCLE, where=deep)
    gas = top - uniform(0, 40, generator) * size
    canvas.paint_ellipsoid(middle, radii, Tissue.SOFT, where=deep)
    canvas.paint_ellipsoid(middle, radii, Tissue.AIR, where=deep & (z > gas))


def _spine(canvas: Canvas, sizes: ThoraxSizes) -> None:
    """Vertebrae with discs between, their processes, and the canal.

    Their cortex is half a millimetre thick (Ritzel et al. 1997, 10.1359/jbmr.1997.12.1.89): a
    voxel of it is as dense as the skull's diploe.
    """
    back = -sizes.half_depth
    part, _ = canvas.part((-42, back - 55, -250), (42, back + 45, 190))
    x, y, z = part.axes
    middle = back + 14 - 0.0006 * (z + 20).square()
    within = torch.remainder(z + 8, 24.0)
    is_disc = within < 4.5
    column = (x / 16.5).square() + ((y - middle) / 14).square()
    part.paint((column < 1) & ~is_disc, SHELL)
    edge = (within > 6.2) & (within < 22.5)
    part.paint((column < 0.80) & edge, SPONGY)
    part.paint((column < 1) & is_disc, Tissue.CARTILAGE)
    arch = torch.hypot(x / 1.1, y - middle + 24)
    level = (within > 8) & (within < 21)
    part.paint((arch < 14) & (arch > 9) & level, SHELL)
    wing = (x.abs() < 36) & ((y - middle + 27 + 0.25 * x.abs()).abs() < 4.5)
    part.paint(wing & (within > 11) & (within < 20), SHELL)
    thorn = (x.abs() < 3.5) & (y < middle - 33) & (y > middle - 58)
    lean = torch.remainder(z + 8 - 0.8 * (y - middle + 33), 24.0)
    part.paint(thorn & (lean > 8) & (lean < 19), SHELL)
    part.paint(arch < 9, Tissue.CSF)
    part.paint(arch < 5, Tissue.WHITE_MATTER)


def _great_vessels(canvas: Canvas, sizes: ThoraxSizes) -> None:
    """Aorta, the large veins, the pulmonary arteries and the arch's branches."""
    r, back = sizes.aorta, -sizes.half_depth
    descending = (-20, back + 38, 20)
    paths = [
        (((2, 16, -22), (14, 24, 8), (14, 20, 30), (0, 2, 46), (-20, -22, 44)), r),
        (((-20, -22, 44), descending, (-18, back + 34, -60), (-6, back + 34, -190)), 0.88 * r),
        (((26, 8, 64), (24, 6, -20)), 9.0),
        (((18, 2, -60), (20, 0, -110)), 11.0),
        (((-12, 34, -8), (-18, 16, 12), (-40, -8, 6)), 12.0),
        (((-14, 14, 8), (18, -2, 0), (42, -8, -6)), 10.5),
        (((8, 8, 44), (20, -4, 84), (28, -8, 150)), 5.0),
        (((-14, -8, 46), (-20, -10, 84), (-26, -10, 150)), 4.5),
        (((26, 8, 62), (34, 0, 88), (40, -4, 150)), 6.0),
        (((26, 8, 58), (-20, 14, 74), (-40, -2, 96), (-42, -4, 150)), 6.0),
    ]
    for points, radius in paths:
        canvas.paint_path(points, radius, Tissue.BLOOD)
    canvas.paint_path(((-3, back + 44, 150), (-3, back + 40, -190)), 7.0, Tissue.MUSCLE)


def _heart(
    canvas: Canvas, dome: Distance, sizes: ThoraxSizes, part: UInt8[Tensor, "i j k"]
) -> None:
    """Two ventricles in their muscle, two atria, on the diaphragm, in the pericardium's fat."""
    s, turn = sizes.heart, math.radians(sizes.heart_turn)
    centre = (-14 - 14 * s, 22.0, -52.0)
    x, y, z = (axis - at for axis, at in zip(canvas.axes, centre, strict=True))
    # The long axis points to the patient's left, down and forward.
    axis = (-math.cos(turn) * 0.88, 0.47, -math.sin(turn) * 0.88)
    length = math.sqrt(sum(each * each for each in axis))
    along = (x * axis[0] + y * axis[1] + z * axis[2]) / length
    square = x.square() + y.square() + z.square()
    off = (square - along.square()).clamp(min=0)
    half, width = 66 * s, 47 * s
    k = (along.square() / half**2 + off / width**2).sqrt()
    on = dome > -3
    canvas.paint((k < 1 + 5 / width) & on & (dome > 0), Tissue.FAT)
    canvas.paint((k < 1) & on, Tissue.HEART)
    canvas.paint((k < 1 - 11 / width) & on, Tissue.BLOOD)
    septum = (x - 0.4 * z + 0.5 * y + 6).abs() < 5
    canvas.paint((k < 1 - 11 / width) & on & septum, Tissue.HEART)
    part.masked_fill_((k < 1 + 5 / width) & on & (dome > 0), int(Part.HEART))


def _airways(canvas: Canvas) -> None:
    """Trachea and main bronchi, with their walls."""
    tree = (
        (((0, -6, 160), (1, -14, 60), (3, -24, 4)), 9.0),
        (((3, -24, 4), (24, -26, -14), (46, -30, -30)), 7.0),
        (((3, -24, 4), (-20, -28, -12), (-46, -32, -24)), 6.2),
        (((24, -26, -14), (44, -24, 6)), 4.5),
        (((-30, -29, -16), (-48, -20, 0)), 4.5),
    )
    for points, radius in tree:
        canvas.paint_path(points, radius + 1.6, Tissue.MUSCLE)
    for points, radius in tree:
        canvas.paint_path(points, radius, Tissue.AIR)
