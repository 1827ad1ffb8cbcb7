"""What is below and before the brain case: jaws, cheeks, nose, sinuses, orbits, ears, neck."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from medgen.phantom.canvas import Canvas, Triple
from medgen.phantom.field import smooth_field, uniform
from medgen.phantom.tissue import Tissue

CORTICAL, MARROW = Tissue.CORTICAL_BONE, Tissue.MARROW
SOFTS = (Tissue.SOFT, Tissue.MUSCLE, Tissue.FAT, Tissue.MUCOSA)

Distance = Float[Tensor, "i j k"]


def paint_neck(whole: Canvas, whole_depth: Distance, generator: Generator) -> None:
    """Muscles, vessels, spine with canal and cord, and the airway down to the trachea.

    Args:
        whole: Where.
        whole_depth: Distance from the skin, mm, positive inside.
        generator: Source of the fat between the muscles.
    """
    canvas, box = whole.part((-75, -90, -1000), (75, 60, -58))
    if canvas.tissue.numel() == 0:
        return
    depth = whole_depth[box]
    x, y, z = canvas.axes
    middle = -14 + 0.06 * (z + 70)  # the neck leans forward
    behind = torch.hypot(x, y - middle + 10)
    inside = (z < -74) & (depth > 8)
    canvas.paint(inside & (behind < 45), Tissue.MUSCLE)
    planes = smooth_field(canvas.shape, 16 / canvas.spacing, generator)[0].abs() < 0.07
    canvas.paint(inside & planes & (behind > 18), Tissue.FAT)
    for side in (-1, 1):
        for dx, dy, radius in ((27, 14, 3.2), (33, 11, 4.5)):  # carotid artery, jugular vein
            tube = torch.hypot(x - side * dx, y - middle - dy) < radius
            canvas.paint((z < -72) & tube & (depth > 5), Tissue.VESSEL)
    _spine(canvas, middle)
    airway = torch.hypot(x / 1.25, y - middle - 22)
    canvas.paint((z < -60) & (airway < 9.6) & (depth > 4), Tissue.MUCOSA)
    canvas.paint((z < -125) & (airway > 8.6) & (airway < 10.6) & (depth > 4), Tissue.MUSCLE)
    canvas.paint((z < -60) & (airway < 7.8) & (depth > 4), Tissue.AIR)


def _spine(canvas: Canvas, middle: Tensor) -> None:
    """Vertebrae and discs 18 mm apart, and the cord behind them."""
    x, y, z = canvas.axes
    level = torch.remainder(z + 78, 18)
    body = torch.hypot(x / 1.25, y - middle - 1)
    spine = z < -74
    canvas.paint(spine & (body < 9), CORTICAL)
    canvas.paint(spine & (body < 7.9) & (level > 5.2) & (level < 16.8), MARROW)
    canvas.paint(spine & (body < 8.8) & (level < 4), Tissue.MUSCLE)
    canal = torch.hypot(x / 1.2, y - middle + 16)
    arch = spine & (canal < 12.5) & (level > 6) & (level < 15)
    canvas.paint(arch, CORTICAL)
    canvas.paint(arch & (canal < 11.4) & (canal > 9.4), MARROW)
    behind = (x.abs() < 3) & (y < middle - 27) & (y > middle - 46)
    canvas.paint(spine & behind & (level > 7) & (level < 13), CORTICAL)
    canvas.paint(spine & behind & (x.abs() < 1.8) & (level > 8.2) & (level < 11.8), MARROW)
    canvas.paint((z < -66) & (canal < 8.3), Tissue.CSF)
    cord = torch.hypot(x / 1.4, y - middle + 16)
    canvas.paint((z < -64) & (cord < 4.5), Tissue.WHITE_MATTER)


def paint_jaws(whole: Canvas, whole_depth: Distance, generator: Generator) -> None:
    """Maxilla, cheekbones, mandible, teeth, tongue and an almost closed mouth."""
    canvas, box = whole.part((-80, -5, -130), (80, 110, -15))
    depth = whole_depth[box]
    x, y, z = canvas.axes
    for side in (-1, 1):
        cheek = (
            (side * 34, 76, -52),
            (side * 52, 60, -50),
            (side * 61, 32, -46),
            (side * 62, 2, -44),
        )
        _hollow(canvas, cheek, 4.0, 1.6)
        _hollow(canvas, ((side * 46, 64, -48), (side * 42, 66, -24)), 4.0, 1.6)  # orbit's rim
        body = (side * 5, 86, -115), (side * 24, 74, -114), (side * 42, 42, -106)
        ramus = (side * 42, 42, -106), (side * 49, 18, -98), (side * 52, 8, -50)
        _hollow(canvas, body, 8.0, 2.2)
        _hollow(canvas, ramus, 5.5, 1.8)
        masseter = (side * 58, 16, -82)
        canvas.paint_ellipsoid(masseter, (8, 17, 26), Tissue.MUSCLE, over=(Tissue.SOFT,))
        pterygoid = (side * 34, 14, -72)
        canvas.paint_ellipsoid(pterygoid, (8, 12, 22), Tissue.MUSCLE, over=(Tissue.SOFT,))
    arc = torch.hypot(x / 0.75, (y - 44).clamp(min=0))
    row = (arc > 31) & (arc < 41) & (y > 36) & (depth > 5)
    gap = torch.sin(16 * torch.atan2(y - 40, x / 0.75)).abs() > 0.2
    canvas.paint(row & (z > -84) & (z < -72), CORTICAL)
    canvas.paint(row & (arc > 32.5) & (arc < 39.5) & (z > -82) & (z < -74), MARROW)
    tooth = row & gap & (arc > 32) & (arc < 39)
    canvas.paint(tooth & (z > -95) & (z < -82), CORTICAL)
    canvas.paint(tooth & (z > -108) & (z < -96), CORTICAL)
    canvas.paint((arc < 32) & (y > 14) & (z > -77) & (z < -74.5) & (depth > 8), CORTICAL)  # palate
    canvas.paint_ellipsoid((0, 44, -94), (23, 30, 15), Tissue.MUSCLE, where=arc < 31)
    wide = uniform(0.6, 2.0, generator)
    mouth = ((z + 79).abs() < wide) & (arc < 29) & (y > 12) & (depth > 8)
    canvas.paint(mouth, Tissue.AIR)
    bone = (canvas.tissue == int(CORTICAL)) | (canvas.tissue == int(MARROW))
    canvas.paint(bone & (depth < 3.5), Tissue.SCALP)
    canvas.paint(depth <= 0, Tissue.AIR)


def _hollow(canvas: Canvas, path: tuple, radius: float, table: float) -> None:
    """A bone: marrow inside cortical bone."""
    canvas.paint_path(path, radius, CORTICAL)
    canvas.paint_path(path, radius - table, MARROW)


def paint_skull_base(canvas: Canvas, generator: Generator) -> None:
    """Clivus, petrous bones with ear canals and mastoid cells."""
    cells = smooth_field(canvas.shape, 3.5 / canvas.spacing, generator)[0]
    over = (*SOFTS, Tissue.CSF, CORTICAL, MARROW)
    _hollow(canvas, ((0, 6, -38), (0, -10, -62)), 6.5, 1.8)
    for side in (-1, 1):
        canvas.paint_path(((side * 16, -8, -42), (side * 60, -22, -46)), 7.5, CORTICAL, end=9)
        canvas.paint_ellipsoid((side * 56, -26, -56), (11, 14, 18), CORTICAL, over=over)
        inner = (side * 56, -27, -54)
        canvas.paint_ellipsoid(inner, (9, 12, 15), Tissue.AIR, where=cells > 0.1)
        canvas.paint_path(((side * 86, -14, -46), (side * 44, -16, -46)), 2.8, Tissue.AIR)
        canvas.paint_path(((side * 38, -14, -43), (side * 34, -22, -42)), 2.2, Tissue.CSF)


def paint_sinuses(canvas: Canvas, cavity: Distance, *, front: float, generator: Generator) -> None:
    """Nose with septum and conchae, and the sinuses; every air space has its mucosa.

    Args:
        canvas: Where.
        cavity: Distance from the cranial cavity, mm; its inner table stays.
        front: Where the middle of the frontal bone is, mm.
        generator: Source of the sinuses' sizes.
    """
    x, y, z = canvas.axes
    spaces: list[tuple[Triple, Triple]] = [
        ((0, 56, -58), (14, 36, 16)),
        ((0, 28, -33), (14, 11, 9)),
    ]  # nose, sphenoid sinus
    for side in (-1, 1):
        high = uniform(14, 17, generator)
        spaces.append(((side * 28, 54, -62), (12, 16, high)))  # maxillary sinus
        spaces.append(((side * 8, 54, -36), (6.5, 20, 9)))  # ethmoid cells
    for centre, (a, b, c) in spaces:
        canvas.paint_ellipsoid(centre, (a + 2.4, b + 2.4, c + 2.4), CORTICAL, over=(*SOFTS, MARROW))
    for centre, (a, b, c) in spaces:
        canvas.paint_ellipsoid(centre, (a + 0.9, b + 0.9, c + 0.9), Tissue.MUCOSA)
        canvas.paint_ellipsoid(centre, (a, b, c), Tissue.AIR)
    walls = smooth_field(canvas.shape, 5 / canvas.spacing, generator)[0].abs() < 0.13
    for side in (-1, 1):
        canvas.paint_ellipsoid((side * 8, 54, -36), (6.5, 20, 9), CORTICAL, where=walls)
        for height in (-68, -59, -50):
            canvas.paint_ellipsoid((side * 8.5, 52, height), (3.6, 24, 3.2), Tissue.MUCOSA)
            canvas.paint_ellipsoid((side * 8.5, 52, height), (0.9, 22, 0.9), CORTICAL)
        canvas.paint_path(((side * 5.5, 84, -64), (side * 6, 104, -72)), 3.8, Tissue.AIR)
        roof = uniform(5, 22, generator)  # height of the frontal sinus
        frontal = (side * 7, front, -14), (side * 10, front, -14 + roof)
        inside = cavity > 1.2 + canvas.spacing
        bones = (CORTICAL, MARROW)
        canvas.paint_path(frontal, 3.8, Tissue.AIR, over=bones, where=inside)
    septum = (x.abs() < 1.6) & (y > 26) & (y < 90) & (z > -74) & (z < -42)
    septum = septum & (canvas.tissue == int(Tissue.AIR))
    canvas.paint(septum, Tissue.MUCOSA)
    canvas.paint(septum & (x.abs() < 0.6) & (y < 76), CORTICAL)
    canvas.paint_path(((0, 24, -58), (0, 9, -62), (0, 9, -70)), 7.5, Tissue.AIR)


def paint_eyes(canvas: Canvas) -> None:
    """Orbits: thin bone around fat, globe with lens, muscles and optic nerve."""
    bones = (CORTICAL, MARROW)
    soft = (*SOFTS, *bones, Tissue.AIR)
    for side in (-1, 1):
        apex, front = (side * 14, 32, -31), (side * 32, 77, -38)
        inside = canvas.tissue != int(Tissue.SCALP)
        canvas.paint_path((front, apex), 18.5, CORTICAL, end=6.5, over=(Tissue.SOFT,), where=inside)
        canvas.paint_path(((side * 33, 80, -38), apex), 16.8, Tissue.FAT, end=4.5, over=soft[:6])
        for dx, dz in ((10, 0), (-10, 0), (0, 10), (0, -10)):
            muscle = (side * 32 + dx, 66, -38 + dz), (side * 16, 36, -31)
            canvas.paint_path(muscle, 2.0, Tissue.MUSCLE)
        canvas.paint_path(((side * 31, 58, -38), (side * 12, 28, -29)), 2.2, Tissue.WHITE_MATTER)
        globe = (side * 32, 68, -38)
        canvas.paint_ellipsoid(globe, (12.8, 12.6, 12.8), Tissue.MUSCLE)
        canvas.paint_ellipsoid(globe, (11.8, 11.6, 11.8), Tissue.EYE)
        canvas.paint_ellipsoid((side * 32, 75.5, -38), (4.6, 2.2, 4.6), Tissue.MUSCLE)
