"""What spots learn from, crops of volumes, and how wrong they are about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from medgen.align.grounding import PRESENT
from medgen.diffusion.noise import generator_for
from medgen.tasks.finder.items import FinderImage
from medgen.tasks.patches import patch_from
from medgen.tasks.studies import one_of

CELLS = 12  # along each edge of a crop; each is two voxels wide
OFF = 4  # cells that the middle of a crop may be off its finding's, along each axis
ABOUT = 0.75  # share of the crops that lie about a finding
WEIGHT = 5.0  # of a cell with a finding: there are few
NOTHING = torch.zeros(0)


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
                if len(cells := (_masks(volume).get(name, NOTHING) > PRESENT).nonzero())
            ]
            for name in spots
        }

    def __call__(self, number: int) -> Crop:
        """A random crop."""
        generator = generator_for(self.seed, number)
        if float(torch.rand((), generator=generator)) < ABOUT:
            volume, cells = one_of(self.drawn[one_of(self.spots, generator)], generator)
            off = torch.randint(-OFF, OFF + 1, (3,), generator=generator)
            middle = cells[one_of(range(len(cells)), generator)] + off
        else:
            volume = one_of(self.volumes, generator)
            size = torch.tensor(volume.view.shape[1:]) // 2
            middle = (torch.rand(3, generator=generator) * size).long()
        start = middle - CELLS // 2
        part, shares = patch_from(volume.view, _masks(volume), self.spots, start, CELLS)
        axes = [axis for axis in (1, 2, 3) if float(torch.rand((), generator=generator)) < 0.5]
        there = (shares > PRESENT).float()
        return Crop(str(volume.kind), part.flip(axes), there.flip(axes))


def _masks(image: FinderImage) -> Mapping[str, Tensor]:
    assert image.masks is not None
    return image.masks


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
