"""What spots learn from, crops of volumes, and how wrong they are about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from medgen.align.grounding import PRESENT
from medgen.diffusion.noise import generator_for
from medgen.tasks.align_studies import one_of
from medgen.tasks.finder_items import FinderImage

CELLS = 12  # along each edge of a crop; each is two voxels wide
OFF = 4  # cells that the middle of a crop may be off its finding's, along each axis
ABOUT = 0.75  # share of the crops that lie about a finding
WEIGHT = 5.0  # of a cell with a finding: there are few


@dataclass(frozen=True)
class Crop:
    """A part of a volume, and where each finding lies in it: 0 or 1 for cells of two voxels."""

    kind: str
    volume: Float[Tensor, "channels i j k"]
    there: Float[Tensor, "findings _ _ _"]


class SpotItems:
    """Item number -> crop: a pure function, whatever was asked before.

    Most lie about a finding: each finding is as likely, however rare, and each volume with it. All
    may be mirrored, since a spot has no side.

    Args:
        volumes: With masks.
        spots: The findings that are told apart.
        seed: Of the items.
    """

    def __init__(self, volumes: Sequence[FinderImage], spots: Sequence[str], seed: int) -> None:
        self.volumes = volumes
        self.spots = tuple(spots)
        self.seed = seed
        self.drawn = {
            name: [
                (volume, cells)
                for volume in volumes
                if len(cells := _there(volume, name).nonzero())
            ]
            for name in spots
        }

    def __call__(self, number: int) -> Crop:
        """A random crop."""
        generator = generator_for(self.seed, number)
        if float(torch.rand((), generator=generator)) < ABOUT:
            volume, cells = one_of(self.drawn[one_of(self.spots, generator)], generator)
            off = torch.randint(-OFF, OFF + 1, (3,), generator=generator)
            return self._cut(volume, one_of(list(cells), generator) + off, generator)
        volume = one_of(self.volumes, generator)
        size = torch.tensor(volume.view.shape[1:]) // 2
        return self._cut(volume, (torch.rand(3, generator=generator) * size).long(), generator)

    def _cut(self, image: FinderImage, middle: Tensor, generator: Generator) -> Crop:
        there = torch.stack([_there(image, name) for name in self.spots])
        room = (torch.tensor(there.shape[1:]) - CELLS).clamp(min=0)
        corner = torch.minimum((middle - CELLS // 2).clamp(min=0), room).tolist()
        cells = tuple(slice(at, at + CELLS) for at in corner)
        voxels = tuple(slice(2 * at, 2 * (at + CELLS)) for at in corner)
        axes = [axis for axis in (1, 2, 3) if float(torch.rand((), generator=generator)) < 0.5]
        volume = image.view[(slice(None), *voxels)].float()
        part = there[(slice(None), *cells)].float()
        return Crop(str(image.kind), volume.flip(axes), part.flip(axes))


def _there(image: FinderImage, name: str) -> Tensor:
    """The cells of a volume in which a finding is drawn."""
    assert image.masks is not None
    if name not in image.masks:
        return torch.zeros([size // 2 for size in image.view.shape[1:]], dtype=torch.bool)
    return image.masks[name] > PRESENT


def spots_loss(network: nn.Module, items: Sequence[Crop]) -> Mapping[str, Tensor]:
    """How badly the cells of crops tell what lies in them, in nats a cell.

    Args:
        network: A `ModuleDict` of the `Spots` of each kind.
        items: Crops of any of these kinds.
    """
    assert isinstance(network, nn.ModuleDict)
    device = next(network.parameters()).device
    errors = []
    for kind, spots in network.items():
        crops = [item for item in items if item.kind == kind]
        if crops:
            there = torch.stack([crop.there for crop in crops]).to(device)
            odds = spots(torch.stack([crop.volume for crop in crops]).to(device)).float()
            weight = 1 + (WEIGHT - 1) * there
            each = F.binary_cross_entropy_with_logits(odds, there, weight, reduction="none")
            errors.append(each.flatten(1).mean(1))
    return {"total": torch.cat(errors).mean()}
