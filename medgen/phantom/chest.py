"""A chest that disease comes to."""

from dataclasses import dataclass

from jaxtyping import UInt8
from torch import Tensor

from medgen.finding import Side
from medgen.phantom.canvas import one_of
from medgen.phantom.organ import Organ
from medgen.phantom.part import LUNGS, Part


@dataclass(frozen=True)
class Chest:
    """The body that disease comes to.

    Attributes:
        tissue: `Tissue` of each voxel.
        part: `Part` of each voxel.
        spacing: Voxel size, mm.
        is_upright: Whether fluid sinks to the diaphragm, or to the back.
    """

    tissue: UInt8[Tensor, "i j k"]
    part: UInt8[Tensor, "i j k"]
    spacing: float
    is_upright: bool = True

    def lung(self, side: Side) -> Organ:
        """All lobes of a side."""
        return self.of(*LUNGS[side])

    def lobe(self, lobe: Part) -> Organ:
        """One lobe."""
        return self.of(lobe)

    def of(self, *parts: Part) -> Organ:
        """These parts together.

        Raises:
            ValueError: If the body has none of them.
        """
        where = one_of(self.part, parts)
        if not where.any():
            raise ValueError(f"the body has no {', '.join(part.name.lower() for part in parts)}")
        return Organ.cut(where, self.spacing)
