"""Patches: a part of an image, and where its findings lie in it."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from medgen.tasks.studies import Masks, Stack, View, stacked


class Patch(NamedTuple):
    """Part of an image, and the share of each finding there at half the resolution."""

    view: View
    masks: Stack


def patch_from(
    image: View, masks: Masks, findings: Sequence[str], start: Tensor, cells: int
) -> Patch:
    """A part of an image, or all of it along an axis on which there is no more.

    Args:
        image: Of any size.
        masks: Of its findings, at half the resolution.
        findings: Whose masks are wanted.
        start: The cell of the masks from which on it is wanted, moved in where it lies outside.
        cells: Of the masks along each edge; each is two voxels of the image.
    """
    most = (torch.tensor(image.shape[1:]) // 2 - cells).clamp(min=0)
    corner = torch.minimum(start.clamp(min=0), most).tolist()
    fine = tuple(slice(2 * at, 2 * (at + cells)) for at in corner)
    coarse = tuple(slice(at, at + cells) for at in corner)
    part = image[(slice(None), *fine)].float()
    return Patch(
        part, stacked(findings, {name: mask[coarse] for name, mask in masks.items()}, part)
    )
