"""An organ cut out of its body, to be filled by disease up to a wanted volume."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Generator, Tensor

from medgen.phantom.canvas import Triple
from medgen.phantom.field import uniform
from medgen.phantom.render import Overlay
from medgen.phantom.tissue import Tissue

Volume = Float[Tensor, "i j k"]


@dataclass(frozen=True)
class Organ:
    """Part of a body: a lung, a lobe, all ribs of a side, a brain.

    Attributes:
        where: Its voxels, in the smallest box around it.
        corner: Voxel of the body where that box begins.
        spacing: Voxel size, mm.
    """

    where: Bool[Tensor, "i j k"]
    corner: tuple[int, int, int]
    spacing: float

    @classmethod
    def cut(cls, where: Bool[Tensor, "i j k"], spacing: float) -> "Organ":
        """The smallest box around a mask.

        Raises:
            ValueError: If the mask is empty.
        """
        box = box_of(where)
        corner = (box[0].start, box[1].start, box[2].start)
        return cls(where[box], corner, spacing)

    @property
    def box(self) -> tuple[slice, ...]:
        """The voxels of the body that it was cut from."""
        ends = zip(self.corner, self.where.shape, strict=True)
        return tuple(slice(start, start + size) for start, size in ends)

    @property
    def axes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Millimetres from the corner, right, front and up, each shaped to broadcast."""
        i, j, k = (torch.arange(size) * self.spacing for size in self.where.shape)
        return i[:, None, None], j[None, :, None], k[None, None, :]

    def depth(self) -> Volume:
        """Distance from the nearest voxel outside, mm; 0 there."""
        padded = np.pad(self.where.numpy(), 1)
        inner = ndimage.distance_transform_edt(padded, sampling=self.spacing)[1:-1, 1:-1, 1:-1]
        return torch.from_numpy(inner.astype(np.float32))

    def lowest(self, potential: Volume, count: float) -> tuple[Volume, float]:
        """Fill the organ from where a potential is lowest until so many voxels are full.

        Returns:
            The filled share of each voxel, with a soft edge of one voxel, and the threshold.
        """
        values = potential[self.where]
        wanted = max(1, min(len(values), round(count)))
        threshold = float(values.kthvalue(wanted).values)
        share = ((threshold - potential) / self.spacing + 0.5).clamp(0, 1)
        return share * self.where, threshold

    def distance(self, centre: Triple) -> Volume:
        """Distance from a point, mm; both are measured from the corner."""
        i, j, k = (axis - at for axis, at in zip(self.axes, centre, strict=True))
        return (i.square() + j.square() + k.square()).sqrt()

    def somewhere(self, generator: Generator, among: Bool[Tensor, "i j k"] | None = None) -> Triple:
        """One of its voxels, or of those among them, mm from the corner."""
        places = (self.where if among is None else among).nonzero()
        i, j, k = (places[int(uniform(0, len(places), generator))] * self.spacing).tolist()
        return i, j, k

    def overlay(self, tissue: Tissue, share: Volume) -> Overlay:
        """A share of this box as part of the body."""
        return Overlay(tissue, share, self.corner)

    def volume_ml(self, share: Volume) -> float:
        """What a share amounts to."""
        return float(share.sum()) * self.spacing**3 / 1000

    @property
    def voxels(self) -> int:
        """How many it has."""
        return int(self.where.sum())


def distance_from(where: Bool[Tensor, "i j k"], spacing: float) -> Volume:
    """Distance from the nearest voxel of a mask, mm; 0 in it, infinite if it is empty."""
    if not where.any():
        return torch.full(tuple(where.shape), torch.inf)
    found = ndimage.distance_transform_edt(~where.numpy(), sampling=spacing)
    return torch.from_numpy(found.astype(np.float32))


def box_of(where: Bool[Tensor, "i j k"]) -> tuple[slice, slice, slice]:
    """The smallest box around a mask.

    Raises:
        ValueError: If the mask is empty.
    """
    ends = [where.any(b).any(a).nonzero() for a, b in ((1, 2), (0, 2), (0, 1))]
    if not len(ends[0]):
        raise ValueError("the body has no such organ")
    i, j, k = (slice(int(seen[0]), int(seen[-1]) + 1) for seen in ends)
    return i, j, k
