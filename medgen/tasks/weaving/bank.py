"""What a region looks like in numbers, and whether it looks like the examples of its concept."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Shaped
from scipy import ndimage

from medgen.data.feather import box_around, dilated
from medgen.errors import InputError

RING = 8.0  # voxels around a region that are its surroundings
EDGE = 1.5  # voxels on either side of a region's border that are its seam
NEAR = 5.0  # voxels on either side of the seam that it is compared with
BORDER = 3.0  # voxels on either side of a border that a Gaussian of one voxel blurs
FINE = 1.0  # voxels: what a Gaussian of it takes away is grain
WIDTHS = 4.0  # of a Gaussian, beyond which it is 0
LEAST_SPREAD = 0.02  # of the window: examples are never more alike than noise lets them be

Region = Bool[np.ndarray, "*space"]
Values = Shaped[np.ndarray, "*space"]


@dataclass(frozen=True)
class Look:
    """What a region looks like; values of a scan's window, -1 to 1.

    Attributes:
        mean: Of its values.
        deviation: Of its values.
        contrast: Its mean less that of its surroundings.
    """

    mean: float
    deviation: float
    contrast: float


@dataclass(frozen=True)
class Bank:
    """What the examples of a concept look like.

    Attributes:
        mean: Of all examples.
        spread: Standard deviation over the examples; not less than noise makes it.
        examples: How many there are.
    """

    mean: Look
    spread: Look
    examples: int

    def distance(self, look: Look) -> dict[str, float]:
        """How many of its spreads a look is away, by name."""
        names = ("mean", "deviation", "contrast")
        return {
            name: (getattr(look, name) - getattr(self.mean, name)) / getattr(self.spread, name)
            for name in names
        }


def look_of(values: Values, region: Region) -> Look:
    """What a region looks like.

    Raises:
        InputError: If it is empty.
    """
    if not region.any():
        raise InputError("a region is empty; draw it on the finding")
    values, region = _near(RING, values, region)
    inside = values[region].astype(np.float64)
    around = dilated(region, RING, (1.0,) * region.ndim) & ~region
    ground = values[around].astype(np.float64).mean() if around.any() else 0.0
    return Look(float(inside.mean()), float(inside.std()), float(inside.mean() - ground))


def bank_of(looks: Sequence[Look]) -> Bank:
    """What the examples of a concept look like together."""

    def over(name: str) -> tuple[float, float]:
        values = [getattr(one, name) for one in looks]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        return statistics.mean(values), max(spread, LEAST_SPREAD)

    pairs = [over(name) for name in ("mean", "deviation", "contrast")]
    means, spreads = zip(*pairs, strict=True)
    return Bank(Look(*means), Look(*spreads), len(looks))


def seam_ratio(values: Values, region: Region) -> float:
    """How steep values are at a region's border, beside how steep they are on both sides of it.

    1 where nothing gives the border away.
    """
    values, region = _near(EDGE + NEAR + 1, values, region)  # 1 for the gradient
    steep = gradient(values)
    depth = np.maximum(
        ndimage.distance_transform_edt(region), ndimage.distance_transform_edt(~region)
    )
    seam, near = depth <= EDGE, (depth > EDGE) & (depth <= EDGE + NEAR)
    if not seam.any() or not near.any():
        return 1.0
    return float(steep[seam].mean() / max(float(steep[near].mean()), 1e-9))


def noise_ratio(values: Values, region: Region) -> float:
    """The fine grain inside of a region beside that of its surroundings; 1 where it is the same.

    Fine is what a Gaussian of one voxel takes away; the grain is the median of its size, away from
    the border, which is no grain.
    """
    values, region = _near(BORDER + RING + WIDTHS * FINE, values, region)
    single = values.astype(np.float32)
    fine = np.abs(single - ndimage.gaussian_filter(single, FINE, truncate=WIDTHS))
    inner = ndimage.distance_transform_edt(region) > BORDER
    away = ndimage.distance_transform_edt(~region)
    around = (away > BORDER) & (away <= BORDER + RING)
    if not around.any() or not inner.any():
        return 1.0
    return float(np.median(fine[inner]) / max(float(np.median(fine[around])), 1e-9))


def gradient(values: Values) -> Float32[np.ndarray, "*space"]:
    """The length of the gradient, per voxel."""
    slopes = np.gradient(values.astype(np.float32))
    total = np.sqrt(sum(slope**2 for slope in slopes))
    return total.astype(np.float32)


def _near(
    reach: float, values: Values, region: Region
) -> tuple[Shaped[np.ndarray, "*near"], Bool[np.ndarray, "*near"]]:
    """Values and region as far as `reach` voxels around the region, which is not empty.

    What is measured in voxels no farther away than that is measured as in the whole image.
    """
    box = box_around(region, reach, (1.0,) * region.ndim)
    return values[box], region[box]
