"""Disease of the chest: fluid, air and tissue where they do not belong, drawn to measure.

Sizes and volumes are exact: a threshold on a smooth potential is chosen so that it encloses the
wanted volume. Ranges: effusions of 50 to 1500 ml (Blackmore et al. 1996,
10.1016/S1076-6332(96)80219-1, for what shows on a radiograph), pneumothorax of 5 to 60 % of the
lung (Collins et al. 1995, 10.2214/ajr.165.5.7572489), nodules up to 30 mm and masses beyond
(Hansell et al. 2008, Fleischner glossary, 10.1148/radiol.2462070712).
"""

from itertools import pairwise

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from medgen.finding import Finding, Presence, Side
from medgen.phantom.canvas import Triple, one_of, segment
from medgen.phantom.chest import Chest
from medgen.phantom.fact import Disease, Fact, severity
from medgen.phantom.field import chance, smooth_field, uniform
from medgen.phantom.organ import Organ, Volume
from medgen.phantom.part import LOBES, Part, side_of
from medgen.phantom.render import Overlay
from medgen.phantom.tissue import Tissue

LARGEST_NODULE_MM = 30.0
MENISCUS_MM = 26.0  # how far fluid climbs along the chest wall
EFFUSION_ML = (300.0, 800.0)  # from small to moderate, and from there to large
PNEUMOTHORAX_SHARE = (0.2, 0.4)
LOBE_SHARE = (0.35, 0.65)
FULLEST = 0.85  # share of a side of the chest that fluid may take


def effusion(chest: Chest, side: Side, volume_ml: float) -> Disease:
    """Fluid between lung and chest wall: level by gravity, climbing along the wall."""
    lung = chest.lung(side)
    _, front, up = lung.axes
    height = up if chest.is_upright else front
    potential = height - MENISCUS_MM * torch.exp(-lung.depth() / 9)
    voxel_ml = lung.spacing**3 / 1000
    share, level = lung.lowest(potential, min(volume_ml / voxel_ml, FULLEST * lung.voxels))
    squeezed = 0.3 * torch.exp(-(potential - level).clamp(min=0) / 8) * lung.where
    measured = lung.volume_ml(share)
    finding = Finding("pleural_effusion", side=side, severity=severity(measured, EFFUSION_ML))
    overlays = lung.overlay(Tissue.COLLAPSED_LUNG, squeezed), lung.overlay(Tissue.FLUID, share)
    return Disease(overlays, (Fact(finding, {"volume_ml": measured}, overlays[1:]),))


def pneumothorax(chest: Chest, side: Side, share: float) -> Disease:
    """Air around a lung that has shrunk towards its hilum, most of it where up is."""
    lung = chest.lung(side)
    right, front, up = lung.axes
    height = up if chest.is_upright else front
    depth = lung.depth()
    hilum = 0.0 if side is Side.RIGHT else float(right.max())
    middle = [float(axis.max()) / 2 for axis in (front, up)]
    off = (right - hilum).square() + (front - middle[0]).square() + (up - middle[1]).square()
    potential = depth - 0.2 * height + 30 * torch.exp(-off / 40**2)
    air, edge = lung.lowest(potential, share * lung.voxels)
    pleura = 0.6 * torch.exp(-((potential - edge - lung.spacing) / lung.spacing).square())
    denser = 0.12 * (1 - air) * lung.where
    measured = float(air.sum()) / lung.voxels
    overlays = (
        lung.overlay(Tissue.CONSOLIDATION, denser),
        lung.overlay(Tissue.AIR, air),
        lung.overlay(Tissue.MUSCLE, pleura * lung.where),
    )
    fact = Fact(
        Finding("pneumothorax", side=side, severity=severity(measured, PNEUMOTHORAX_SHARE)),
        {"share": measured, "volume_ml": lung.volume_ml(air)},
        overlays[1:2],
    )
    return Disease(overlays, (fact,))


def consolidation(chest: Chest, lobe: Part, share: float, generator: Generator) -> Disease:
    """Alveoli full of fluid: part of a lobe, patchy, with a blurred edge."""
    lung = chest.lobe(lobe)
    centre = lung.somewhere(generator)
    uneven = smooth_field(lung.where.shape, 14 / lung.spacing, generator)[0]
    potential = lung.distance(centre) * (1 + 0.25 * uneven)
    _, edge = lung.lowest(potential, share * lung.voxels)
    full = torch.sigmoid((edge - potential) / 4) * (0.85 + 0.12 * uneven).clamp(0.5, 1)
    return _in_lobe("consolidation", lung, lobe, Tissue.CONSOLIDATION, full * lung.where, share)


def atelectasis(chest: Chest, lobe: Part, share: float, generator: Generator) -> Disease:
    """Airless lung, sharply bounded, from the spine's side of a lobe outwards."""
    lung = chest.lobe(lobe)
    right, front, up = lung.axes
    inward = right if side_of(lobe) is Side.RIGHT else float(right.max()) - right
    tilt = uniform(-0.3, 0.3, generator)
    potential = inward + 0.35 * front + tilt * up
    potential = potential + 3 * smooth_field(lung.where.shape, 25 / lung.spacing, generator)[0]
    full, _ = lung.lowest(potential, share * lung.voxels)
    return _in_lobe("atelectasis", lung, lobe, Tissue.COLLAPSED_LUNG, full, share)


def nodule(
    chest: Chest, lobe: Part, size_mm: float, generator: Generator, *, room_mm: float | None = None
) -> Disease:
    """A round lesion; a mass if it is larger than 30 mm.

    Args:
        chest: Whose lung it is in.
        lobe: Of the lung.
        size_mm: Its diameter.
        generator: Source of its place and shape.
        room_mm: The diameter that its place has room for; as `size_mm` if not given.
    """
    room_mm = room_mm or size_mm
    lung = chest.lobe(lobe)
    depth = lung.depth()
    fits = depth >= min(room_mm / 2, 0.9 * float(depth.max()))
    centre = lung.somewhere(generator, fits)
    uneven = smooth_field(lung.where.shape, max(2, 0.4 * room_mm / lung.spacing), generator)[0]
    radius = size_mm / 2 * (1 + 0.06 * uneven.clamp(-2, 2))
    share = ((radius - lung.distance(centre)) / lung.spacing + 0.5).clamp(0, 1) * lung.where
    tissue = Tissue.CALCIFICATION if chance(0.1, generator) else Tissue.TUMOUR
    name = "nodule" if size_mm <= LARGEST_NODULE_MM else "mass"
    finding = Finding(name, side=side_of(lobe), region=LOBES[lobe], size_mm=float(round(size_mm)))
    lump = (lung.overlay(tissue, share),)
    fact = Fact(finding, {"diameter_mm": size_mm, "volume_ml": lung.volume_ml(share)}, lump)
    return Disease(lump, (fact,))


def emphysema(chest: Chest, share: float, generator: Generator) -> Disease:
    """Holes in both lungs, mostly above: this share of the lung is lost in places."""
    overlays = []
    for side in (Side.LEFT, Side.RIGHT):
        lung = chest.lung(side)
        _, _, up = lung.axes
        patchy = smooth_field(lung.where.shape, 9 / lung.spacing, generator)[0]
        potential = -10 * patchy - 0.06 * up
        holes, _ = lung.lowest(potential, share * lung.voxels)
        overlays.append(lung.overlay(Tissue.AIR, 0.75 * holes))
    finding = Finding("emphysema", severity=severity(share, (0.25, 0.45)))
    holes_of_both = tuple(overlays)
    return Disease(holes_of_both, (Fact(finding, {"share": share}, holes_of_both),))


def oedema(chest: Chest, strength: float) -> Disease:
    """Water in both lungs, around the hila."""
    overlays = []
    for side in (Side.LEFT, Side.RIGHT):
        lung = chest.lung(side)
        right, front, up = lung.axes
        hilum = 0.0 if side is Side.RIGHT else float(right.max())
        middle = 0.45 * float(up.max())
        off = (right - hilum).square() + 0.5 * (front - float(front.max()) / 2).square()
        off = off + 0.6 * (up - middle).square()
        share = strength * torch.exp(-off / (2 * 50**2)) * lung.where
        overlays.append(lung.overlay(Tissue.CONSOLIDATION, share))
    finding = Finding("oedema", severity=severity(strength, (0.25, 0.4)))
    water = tuple(overlays)
    return Disease(water, (Fact(finding, {"share": strength}, water),))


def fracture(chest: Chest, side: Side, generator: Generator) -> Disease:
    """A rib with a gap of a few millimetres and blood around it."""
    kind = Part.RIGHT_RIB if side is Side.RIGHT else Part.LEFT_RIB
    ribs = chest.of(kind)
    centre = ribs.somewhere(generator)
    off = ribs.distance(centre)
    blood = (1 - off / 13).clamp(0, 1).sqrt() * (off < 13) * ~ribs.where
    _, front, _ = ribs.axes
    gap = ((front - centre[1]).abs() < 3) & (off < 11) & ribs.where
    overlays = ribs.overlay(Tissue.MUSCLE, 0.7 * blood), ribs.overlay(Tissue.BLOOD, gap.float())
    return Disease(overlays, (Fact(Finding("fracture", side=side), where=overlays),))


def pacemaker(chest: Chest, side: Side, generator: Generator) -> Disease:
    """A metal box under the skin below the collar bone, and its lead to the heart."""
    heart = (chest.part == int(Part.HEART)).nonzero().float() * chest.spacing
    if not len(heart):
        raise ValueError("the body has no heart")
    middle, top = heart.mean(0), float(heart[:, 2].max())
    sign = 1 if side is Side.RIGHT else -1
    size = [length * chest.spacing for length in chest.tissue.shape]
    x = size[0] / 2 + sign * min(uniform(80, 98, generator), size[0] / 2 - 24)
    z = min(top + uniform(55, 75, generator), 0.86 * size[2])
    skin = chest.tissue[int(x / chest.spacing), :, int(z / chest.spacing)].nonzero()
    y = (float(skin.max()) if len(skin) else size[1] / 2 / chest.spacing) * chest.spacing - 11
    metal = [_painted(chest, (x, y, z), (x, y, z), (21, 4, 19))]
    vein = (size[0] / 2 + 26, float(middle[1]) + 8, top + 40)
    points = [(x, y, z), vein, (size[0] / 2 + 22, float(middle[1]), top - 15)]
    points.append((float(middle[0]) - 25, float(middle[1]) + 12, float(middle[2]) - 22))
    metal += [_painted(chest, start, stop, (1.4,) * 3) for start, stop in pairwise(points)]
    return Disease(tuple(metal), (Fact(Finding("device", side=side), where=tuple(metal)),))


def heart_size(chest: Chest) -> Fact | None:
    """The cardiothoracic ratio, and what a reader would say of it; nothing where it is unclear.

    Source: Danzer 1919; a ratio of more than 0.5 is enlarged. Within 0.02 of that, nobody is sure.
    """
    lungs = one_of(chest.part, list(LOBES))
    ratio = _breadth(chest.part == int(Part.HEART)) / max(1, _breadth(lungs))
    if abs(ratio - 0.5) < 0.02:
        return None
    if ratio < 0.5:
        return Fact(Finding("cardiomegaly", Presence.ABSENT), {"cardiothoracic_ratio": ratio})
    finding = Finding("cardiomegaly", severity=severity(ratio, (0.56, 0.62)))
    heart = chest.of(Part.HEART)
    where = (heart.overlay(Tissue.MUSCLE, heart.where.float()),)
    return Fact(finding, {"cardiothoracic_ratio": ratio}, where)


def _in_lobe(
    name: str, lung: Organ, lobe: Part, tissue: Tissue, share: Volume, of_lobe: float
) -> Disease:
    finding = Finding(
        name, side=side_of(lobe), region=LOBES[lobe], severity=severity(of_lobe, LOBE_SHARE)
    )
    measures = {"share_of_lobe": of_lobe, "volume_ml": lung.volume_ml(share)}
    filled = (lung.overlay(tissue, share),)
    return Disease(filled, (Fact(finding, measures, filled),))


def _breadth(where: Bool[Tensor, "i j k"]) -> int:
    """From its rightmost to its leftmost voxel."""
    columns = where.any(2).any(1).nonzero()
    return int(columns[-1] - columns[0] + 1) if len(columns) else 0


def _painted(chest: Chest, start: Triple, stop: Triple, half: Triple) -> Overlay:
    """Metal: a box of these half lengths, or a round wire if start and stop differ."""
    reach = [
        (
            max(0, int((min(a, b) - size) / chest.spacing) - 1),
            (max(a, b) + size) / chest.spacing + 2,
        )
        for a, b, size in zip(start, stop, half, strict=True)
    ]
    i, j, k = (
        torch.arange(low, max(low + 1, min(int(high), length)))
        for (low, high), length in zip(reach, chest.tissue.shape, strict=True)
    )
    x, y, z = (axis * chest.spacing for axis in (i[:, None, None], j[None, :, None], k[None, None]))
    if start == stop:
        apart = [
            (axis - at).abs() - size for axis, at, size in zip((x, y, z), start, half, strict=True)
        ]
        off = torch.maximum(torch.maximum(apart[0], apart[1]), apart[2])
    else:
        off = segment(x, y, z, start, stop, half[0])
    share = (0.5 - off / chest.spacing).clamp(0, 1)
    return Overlay(Tissue.METAL, share, (int(i[0]), int(j[0]), int(k[0])))
