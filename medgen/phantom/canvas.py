"""A grid of tissues that anatomy is painted on, with shapes given in mm."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Integer, UInt8
from torch import Tensor

from medgen.phantom.field import Shape
from medgen.phantom.tissue import Tissue

Triple = tuple[float, float, float]
Distance = Float[Tensor, "..."]
"""Roughly the distance from a surface, mm; negative inside."""


@dataclass(frozen=True)
class Canvas:
    """Tissues under construction.

    Attributes:
        tissue: `Tissue` of each voxel; painted in place.
        spacing: Voxel size, mm.
        axes: Millimetres along Right, Anterior and Superior, each shaped to broadcast.
    """

    tissue: UInt8[Tensor, "i j k"]
    spacing: float
    axes: tuple[Float[Tensor, "i 1 1"], Float[Tensor, "1 j 1"], Float[Tensor, "1 1 k"]]

    @classmethod
    def empty(cls, shape: Shape, spacing: float, middle: Triple) -> "Canvas":
        """Air; the grid's middle is at `middle`, mm."""
        x, y, z = (
            (torch.arange(size) - (size - 1) / 2) * spacing + at
            for size, at in zip(shape, middle, strict=True)
        )
        axes = (x[:, None, None], y[None, :, None], z[None, None, :])
        return cls(torch.zeros(shape, dtype=torch.uint8), spacing, axes)

    @property
    def shape(self) -> Shape:
        """Voxels along Right, Anterior, Superior."""
        i, j, k = self.tissue.shape
        return i, j, k

    def part(self, low: Triple, high: Triple) -> tuple["Canvas", tuple[slice, ...]]:
        """The same canvas between two corners, mm, and which of its voxels those are."""
        box = self._box(low, high)
        return Canvas(self.tissue[box], self.spacing, self._part(box)), box

    def paint(self, where: Bool[Tensor, "..."], tissue: Tissue) -> None:
        """Put a tissue wherever a mask, that may have to be broadcast, is true."""
        self.tissue.masked_fill_(where, int(tissue))

    def paint_ellipsoid(
        self,
        centre: Triple,
        radii: Triple,
        tissue: Tissue,
        *,
        over: Sequence[Tissue] = (),
        where: Bool[Tensor, "..."] | None = None,
    ) -> None:
        """Fill an ellipsoid.

        Args:
            centre: Its middle, mm.
            radii: Half its lengths, mm.
            tissue: What it is made of.
            over: Tissues that may be replaced; empty means all.
            where: Further limits.
        """
        box = self._box(
            [c - r for c, r in zip(centre, radii, strict=True)],
            [c + r for c, r in zip(centre, radii, strict=True)],
        )
        x, y, z = self._part(box)
        parts = zip((x, y, z), centre, radii, strict=True)
        inside = (
            sum((((axis - at) / radius) ** 2 for axis, at, radius in parts), torch.zeros(())) < 1
        )
        self._fill(box, inside, tissue, over, where)

    def paint_path(
        self,
        points: Sequence[Triple],
        radius: float,
        tissue: Tissue,
        *,
        end: float | None = None,
        over: Sequence[Tissue] = (),
        where: Bool[Tensor, "..."] | None = None,
    ) -> None:
        """Fill a tube along a path with round ends.

        Args:
            points: Corners of the path, mm.
            radius: Of the tube, mm.
            tissue: What it is made of.
            end: Radius at the end of each piece, mm; None for the same.
            over: Tissues that may be replaced; empty means all.
            where: Further limits.
        """
        for start, stop in pairwise(points):
            widest = max(radius, end or 0)
            low = [min(a, b) - widest for a, b in zip(start, stop, strict=True)]
            high = [max(a, b) + widest for a, b in zip(start, stop, strict=True)]
            box = self._box(low, high)
            inside = segment(*self._part(box), start, stop, radius, end) < 0
            self._fill(box, inside, tissue, over, where)

    def _box(self, low: Sequence[float], high: Sequence[float]) -> tuple[slice, ...]:
        """The voxels between two corners, mm."""
        box = []
        for axis, first, last in zip(self.axes, low, high, strict=True):
            mm = axis.flatten()
            start = int(torch.searchsorted(mm, first))
            box.append(slice(start, int(torch.searchsorted(mm, last, right=True))))
        return tuple(box)

    def _part(self, box: tuple[slice, ...]) -> tuple[Tensor, Tensor, Tensor]:
        x, y, z = self.axes
        return x[box[0]], y[:, box[1]], z[:, :, box[2]]

    def _fill(
        self,
        box: tuple[slice, ...],
        inside: Bool[Tensor, "..."],
        tissue: Tissue,
        over: Sequence[Tissue],
        where: Bool[Tensor, "..."] | None,
    ) -> None:
        part = self.tissue[box]
        if over:
            inside = inside & one_of(part, over)
        if where is not None:
            inside = inside & where.expand(self.shape)[box]
        part.masked_fill_(inside, int(tissue))


def one_of(labels: Integer[Tensor, "..."], wanted: Sequence[int]) -> Bool[Tensor, "..."]:
    """Where a label is one of a few; faster than `torch.isin`, which sorts."""
    found = torch.zeros_like(labels, dtype=torch.bool)
    for label in wanted:
        found |= labels == int(label)
    return found


def ellipsoid(x: Tensor, y: Tensor, z: Tensor, centre: Triple, radii: Triple) -> Distance:
    """About the distance from an ellipsoid: exact to first order near its surface.

    The value of the implicit function k0 = |p / r| over its gradient, k0 (k0 - 1) / |p / r²|.
    """
    p = [axis - at for axis, at in zip((x, y, z), centre, strict=True)]
    k0 = sum(((a / r) ** 2 for a, r in zip(p, radii, strict=True)), torch.zeros(())).sqrt()
    k1 = sum(((a / r**2) ** 2 for a, r in zip(p, radii, strict=True)), torch.zeros(())).sqrt()
    return k0 * (k0 - 1) / k1.clamp(min=1e-3)


def segment(
    x: Tensor,
    y: Tensor,
    z: Tensor,
    start: Triple,
    stop: Triple,
    radius: float,
    end: float | None = None,
) -> Distance:
    """Distance from a tube between two points, whose radius may change on the way."""
    along = [b - a for a, b in zip(start, stop, strict=True)]
    length = sum(a * a for a in along)
    p = [axis - at for axis, at in zip((x, y, z), start, strict=True)]
    share = sum((a * d / length for a, d in zip(p, along, strict=True)), torch.zeros(()))
    share = share.clamp(0, 1)
    square = sum(((a - share * d) ** 2 for a, d in zip(p, along, strict=True)), torch.zeros(()))
    width = radius if end is None else radius + (end - radius) * share
    return square.sqrt() - width


def smooth_min(first: Tensor, second: Tensor, width: float) -> Tensor:
    """The smaller of two distances, rounded where they are nearly equal.

    Source: the polynomial blend of Íñigo Quílez; `width` is the reach of the rounding, mm.
    """
    share = (0.5 + 0.5 * (second - first) / width).clamp(0, 1)
    return torch.lerp(second, first, share) - width * share * (1 - share)
