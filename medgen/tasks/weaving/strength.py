"""How strong a change is: so strong that a region looks as the examples of its concept do."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from medgen.data.feather import feathered
from medgen.tasks.weaving.bank import Bank, look_of

LEAST = 0.005  # of the window: a change of a region's contrast by less is as good as none
MATCHED = ("mean", "contrast")

Region = Bool[np.ndarray, "*space"]
Values = Shaped[np.ndarray, "*space"]


def strength_for(before: Values, after: Values, region: Region, bank: Bank, most: float) -> float:
    """How many times a change should be there.

    Mean and contrast of a region go with the strength of its change in a straight line. The
    strength is the one at which both come nearest to the examples' means, in their spreads.

    Args:
        before: The scan, in its window, -1 to 1.
        after: The same with the change, once.
        region: Not empty.
        bank: The examples.
        most: No change is made larger or smaller by more than this; 1 leaves all as they are.

    Returns:
        1 where the change hardly shows, or leads away from the examples.
    """
    was, made = look_of(before, region), look_of(after, region)
    if abs(made.contrast - was.contrast) < LEAST:
        return 1.0
    start, end = bank.distance(was), bank.distance(made)
    steps = {name: end[name] - start[name] for name in MATCHED}
    towards = -sum(step * start[name] for name, step in steps.items())
    if towards <= 0:
        return 1.0
    return float(np.clip(towards / sum(step**2 for step in steps.values()), 1 / most, most))


def strength_map(
    regions: Sequence[Region],
    strengths: Sequence[float],
    reach: float,
    spacing: tuple[float, ...],
) -> Float32[np.ndarray, "*space"]:
    """The strength at each voxel: that of the region it lies in, or of those that it lies near.

    Args:
        regions: None is empty, and none overlap.
        strengths: Of each.
        reach: How far from a region its strength is heard, mm; 1 is where none is.
        spacing: Of the voxels or pixels, mm.
    """
    heard = np.zeros(regions[0].shape, np.float32)
    total = np.zeros_like(heard)
    for region, strength in zip(regions, strengths, strict=True):
        near = feathered(region, reach, spacing)
        heard += near
        total += near * np.float32(strength - 1)
    return 1 + total / np.maximum(heard, np.finfo(np.float32).tiny)
