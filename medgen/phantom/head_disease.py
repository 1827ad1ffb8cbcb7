"""Disease of the brain: blood, oedema, tumour, chalk, and too much fluid, drawn to measure.

Ranges: fresh blood of 50 to 80 HU (Parizel et al. 2001, 10.1007/s003300000800); an infarct of the
first day takes 4 to 12 HU from the brain by the water it draws, about 2.5 HU for each per cent
(Unger et al. 1988; Dzialowski et al. 2004, 10.1111/j.1552-6569.2004.tb00211.x); a third ventricle
and lateral ventricles that are wider, or furrows that are, by some millimetres.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, UInt8
from torch import Generator, Tensor

from medgen.finding import Finding, Side
from medgen.phantom.canvas import Triple, one_of
from medgen.phantom.fact import Disease, Fact, severity
from medgen.phantom.field import smooth_field, uniform
from medgen.phantom.organ import Organ, Volume, distance_from
from medgen.phantom.tissue import Tissue

BRAIN = (Tissue.GREY_MATTER, Tissue.WHITE_MATTER)
INSIDE = (*BRAIN, Tissue.CSF, Tissue.VESSEL)
Range = tuple[float, float]


@dataclass(frozen=True)
class Where:
    """A region of the brain, as shares of its size.

    Attributes:
        front: From back (0) to front (1).
        up: From the bottom (0) to the vertex (1).
        out: From the midline (0) to the side (1).
    """

    front: Range
    up: Range
    out: Range


REGIONS = {
    "frontal": Where((0.68, 0.95), (0.45, 0.90), (0.20, 0.75)),
    "parietal": Where((0.25, 0.55), (0.70, 0.95), (0.20, 0.75)),
    "temporal": Where((0.45, 0.75), (0.20, 0.42), (0.60, 0.92)),
    "occipital": Where((0.04, 0.22), (0.35, 0.65), (0.15, 0.65)),
    "cerebellum": Where((0.12, 0.38), (0.05, 0.25), (0.15, 0.60)),
    "basal_ganglia": Where((0.48, 0.62), (0.45, 0.56), (0.22, 0.40)),
}


@dataclass(frozen=True)
class Head:
    """The head that disease comes to.

    Attributes:
        tissue: `Tissue` of each voxel.
        brain: Its grey and white matter.
    """

    tissue: UInt8[Tensor, "i j k"]
    brain: Organ

    @classmethod
    def of(cls, tissue: UInt8[Tensor, "i j k"], spacing: float) -> "Head":
        """Find the brain; the cord below it is left out.

        Raises:
            ValueError: If there is none.
        """
        cortex = Organ.cut(tissue == int(Tissue.GREY_MATTER), spacing)
        brain = one_of(tissue[cortex.box], BRAIN)
        return cls(tissue, Organ(brain, cortex.corner, spacing))

    @property
    def inside(self) -> UInt8[Tensor, "i j k"]:
        """The tissues in the brain's box."""
        return self.tissue[self.brain.box]

    def region(self, side: Side, region: str) -> Bool[Tensor, "i j k"]:
        """The brain's voxels in a region of one side."""
        where = REGIONS[region]
        i, j, k = self.brain.where.shape
        x = torch.arange(i)[:, None, None]
        across = (x + 0.5 - i / 2) / (i / 2)  # right counts positive
        out = across if side is Side.RIGHT else -across
        front = ((torch.arange(j) + 0.5) / j)[None, :, None]
        up = ((torch.arange(k) + 0.5) / k)[None, None]
        found = self.brain.where.clone()
        for share, (low, high) in ((front, where.front), (up, where.up), (out, where.out)):
            found &= (share >= low) & (share <= high)
        return found


def haemorrhage(
    head: Head, side: Side, region: str, size_mm: float, generator: Generator
) -> Disease:
    """Fresh blood in the brain, with a rim of oedema."""
    shape = _lump(head, side, region, size_mm, 0.16, generator)
    rim = _rim(head, shape, 0.12 * size_mm + 2, 0.6)
    blood = shape.share
    finding = Finding("haemorrhage", side=side, region=region, size_mm=float(round(size_mm)))
    overlays = head.brain.overlay(Tissue.OEDEMA, rim), head.brain.overlay(Tissue.HAEMATOMA, blood)
    measures = {"diameter_mm": size_mm, "volume_ml": head.brain.volume_ml(blood)}
    return Disease(overlays, (Fact(finding, measures, overlays[1:]),))


def infarct(head: Head, side: Side, region: str, volume_ml: float, generator: Generator) -> Disease:
    """Brain that has taken up water: a little darker in CT, bright in T2 and FLAIR."""
    brain = head.brain
    centre = brain.somewhere(generator, _some(head, side, region))
    uneven = smooth_field(brain.where.shape, 16 / brain.spacing, generator)[0]
    potential = brain.distance(centre) * (1 + 0.2 * uneven)
    full, _ = brain.lowest(potential, volume_ml * 1000 / brain.spacing**3)
    water = uniform(0.2, 0.55, generator)  # 4 to 12 HU
    measured = brain.volume_ml(full)
    finding = Finding(
        "infarct", side=side, region=region, severity=severity(measured, (15.0, 50.0))
    )
    overlay = brain.overlay(Tissue.OEDEMA, water * full)
    return Disease((overlay,), (Fact(finding, {"volume_ml": measured}, (overlay,)),))


def tumour(
    head: Head, side: Side, region: str, size_mm: float, oedema_mm: float, generator: Generator
) -> Disease:
    """A mass, and the oedema around it in the white matter."""
    shape = _lump(head, side, region, size_mm, 0.12, generator)
    around = _rim(head, shape, oedema_mm, 0.75) * (1 - shape.share)
    around = around * (head.inside == int(Tissue.WHITE_MATTER))
    mass = head.brain.overlay(Tissue.TUMOUR, shape.share)
    measures = {"diameter_mm": size_mm, "volume_ml": head.brain.volume_ml(shape.share)}
    finding = Finding("brain_mass", side=side, region=region, size_mm=float(round(size_mm)))
    oedema = head.brain.overlay(Tissue.OEDEMA, around)
    facts = [Fact(finding, measures, (mass,))]
    volume = head.brain.volume_ml(around)
    if volume > 1:
        degree = severity(volume, (15.0, 50.0))
        swollen = Finding("brain_oedema", side=side, region=region, severity=degree)
        facts.append(Fact(swollen, {"volume_ml": volume}, (oedema,)))
    return Disease((oedema, mass), tuple(facts))


def calcification(
    head: Head, side: Side, region: str, size_mm: float, generator: Generator
) -> Disease:
    """A speck of chalk."""
    share = _lump(head, side, region, size_mm, 0.2, generator).share
    chalk = (head.brain.overlay(Tissue.CALCIFICATION, share),)
    finding = Finding("calcification", side=side, region=region, size_mm=float(round(size_mm)))
    measures = {"diameter_mm": size_mm, "volume_ml": head.brain.volume_ml(share)}
    return Disease(chalk, (Fact(finding, measures, chalk),))


def ventriculomegaly(head: Head, growth_mm: float) -> Disease:
    """Ventricles that reach so much farther on every side."""
    depth = _depth_of_brain(head)
    fluid = (head.inside == int(Tissue.CSF)) & (depth > 18)
    return _more_fluid("ventriculomegaly", head, fluid, growth_mm, (3.0, 5.0))


def atrophy(head: Head, growth_mm: float) -> Disease:
    """Furrows that are wider, and fluid on the brain."""
    depth = _depth_of_brain(head)
    fluid = (head.inside == int(Tissue.CSF)) & (depth < 14)
    return _more_fluid("atrophy", head, fluid, growth_mm, (1.2, 1.9))


def shifted(head: Head, away_from: Side, shift_mm: float) -> tuple[UInt8[Tensor, "i j k"], Fact]:
    """The head with the middle of its brain pushed from one side to the other.

    Returns:
        The tissues, and the fact; skull and what is outside stay where they are.
    """
    brain = head.brain
    i, j, k = brain.where.shape
    middle = tuple((size - 1) / 2 * brain.spacing for size in (i, j, k))
    push = shift_mm * torch.exp(-((brain.distance((middle[0], middle[1], middle[2])) / 42) ** 2))
    to_right = away_from is Side.LEFT
    source = torch.arange(i)[:, None, None] - (push if to_right else -push) / brain.spacing
    source = source.round().long().clamp(0, i - 1)
    moved = head.inside.gather(0, source)
    is_brain = one_of(head.inside, INSIDE) & one_of(moved, INSIDE)
    tissue = head.tissue.clone()
    tissue[brain.box] = torch.where(is_brain, moved, head.inside)
    degree = severity(shift_mm, (5.0, 9.0))
    finding = Finding("midline_shift", size_mm=float(round(shift_mm)), severity=degree)
    return tissue, Fact(finding, {"shift_mm": shift_mm})


@dataclass(frozen=True)
class _Lump:
    """A roundish body: its share of each voxel, and the distance from its surface, mm."""

    share: Volume
    outside: Volume


def _lump(
    head: Head, side: Side, region: str, size_mm: float, bumpy: float, generator: Generator
) -> _Lump:
    brain = head.brain
    centre: Triple = brain.somewhere(generator, _some(head, side, region))
    uneven = smooth_field(brain.where.shape, max(2, 0.4 * size_mm / brain.spacing), generator)[0]
    radius = size_mm / 2 * (1 + bumpy * uneven.clamp(-1.5, 1.5))
    outside = brain.distance(centre) - radius
    within = one_of(head.inside, INSIDE)
    return _Lump((0.5 - outside / brain.spacing).clamp(0, 1) * within, outside)


def _rim(head: Head, lump: _Lump, width_mm: float, strength: float) -> Volume:
    """Fading outwards from the lump's surface, in the brain."""
    fading = torch.exp(-((lump.outside.clamp(min=0) / max(width_mm, 0.1)) ** 2))
    return strength * fading * head.brain.where


def _some(head: Head, side: Side, region: str) -> Bool[Tensor, "i j k"]:
    """The region, of which there must be some."""
    found = head.region(side, region)
    if not found.any():
        raise ValueError(f"the image does not show the {side} {region}")
    return found


def _depth_of_brain(head: Head) -> Volume:
    """Distance from what is not brain, fluid or vessel, mm."""
    return Organ(one_of(head.inside, INSIDE), head.brain.corner, head.brain.spacing).depth()


def _more_fluid(
    name: str, head: Head, fluid: Bool[Tensor, "i j k"], growth_mm: float, steps: Range
) -> Disease:
    """Fluid that takes the brain's place within this distance of the fluid that is there."""
    brain = head.brain
    near = distance_from(fluid, brain.spacing)
    share = ((growth_mm - near) / brain.spacing + 0.5).clamp(0, 1) * brain.where
    volume = brain.volume_ml(share)
    more = (brain.overlay(Tissue.CSF, share),)
    fact = Fact(
        Finding(name, severity=severity(growth_mm, steps)),
        {"growth_mm": growth_mm, "volume_ml": volume},
        more,
    )
    return Disease(more, (fact,))
