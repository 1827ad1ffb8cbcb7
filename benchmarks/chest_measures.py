"""What a CT of a chest shows, by geometry alone: fluid around the lungs, and how wide the heart is.

Nothing here was learned. The limits were set on a hundred simulated chests of the training seeds;
`benchmarks.cts` says how often they are right on held-out ones, whose findings are known.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from benchmarks.pieces import ball, pieces_of
from medgen.data.body import filled
from medgen.finding import Side

BLUR_MM = 3.0  # less than the smallest pool of fluid, more than the noise
BODY_HU, LUNG_HU, EMPTY_HU = -300.0, -350.0, -965.0
LUNG_ML = 120.0  # a piece of lung; smaller ones are bowel or airways
FLUID_HU = (-8.0, 28.0)  # water with some protein; muscle, liver and blood are denser
FLUID_MEDIAN_HU = 18.0  # of a whole pool: denser ones are lung without air
POOL_ML, REACH_MM, TOUCHED = 6.0, 9.0, 0.05  # and this share of its surface is that near to a lung
HEART_MM, HEART_ML = 15.0, 60.0  # the radius of a ball that fits into a heart, and into no vessel
EFFUSION_ML, WIDE = 10.0, 0.44  # from here on: an effusion, an enlarged heart

Volume = Float[np.ndarray, "right anterior superior"]
Where = Bool[np.ndarray, "right anterior superior"]


@dataclass(frozen=True)
class ChestMeasures:
    """What was found in one chest.

    Attributes:
        fluid_ml: Beside each lung; small pools and menisci are only partly counted.
        density_hu: Median of the fluid; NaN without any.
        heart_ratio: Breadth of the heart without its tip, over that of the lungs; NaN without.
    """

    fluid_ml: dict[Side, float]
    density_hu: float
    heart_ratio: float

    def shows(self, name: str, side: Side | None) -> bool:
        """Whether a finding is there; only `pleural_effusion` and `cardiomegaly` are measured."""
        if name == "pleural_effusion" and side is not None:
            return self.fluid_ml[side] > EFFUSION_ML
        return bool(self.heart_ratio > WIDE)


def measure_chest(hu: Volume, spacing: float) -> ChestMeasures:
    """Measure a chest.

    Args:
        hu: Upright: indices rise to the right, to the front and upwards.
        spacing: Of its cubic voxels, mm.
    """
    smooth = ndimage.gaussian_filter(hu.astype(np.float32), BLUR_MM / spacing)
    body = filled(smooth > BODY_HU, axis=2)
    lungs = _lungs(smooth, body, spacing)
    fluid = _fluid(smooth, body, lungs, spacing)
    return ChestMeasures(
        _sides(fluid, body, spacing),
        float(np.median(hu[fluid])) if fluid.any() else float("nan"),
        _heart_ratio(smooth, lungs, spacing),
    )


def _lungs(smooth: Volume, body: Where, spacing: float) -> Where:
    """Large spaces in the body that hold air, but not air alone."""
    airy = ndimage.binary_opening((smooth < LUNG_HU) & body)
    pieces = pieces_of(airy, spacing)
    means = ndimage.mean(smooth, pieces.labels, pieces.numbers)
    return pieces.only((pieces.ml > LUNG_ML) & (means > EMPTY_HU)).where


def _fluid(smooth: Volume, body: Where, lungs: Where, spacing: float) -> Where:
    """Pools of water that touch a lung; those in the belly do not."""
    near = ndimage.binary_dilation(lungs, iterations=max(1, round(REACH_MM / spacing)))
    low, high = FLUID_HU
    watery = ndimage.binary_opening((smooth > low) & (smooth < high) & body, np.ones((3, 3, 3)))
    pools, _ = ndimage.label(watery)
    found = np.zeros_like(watery)
    for number, place in enumerate(ndimage.find_objects(pools), start=1):
        around = tuple(slice(max(0, axis.start - 2), axis.stop + 2) for axis in place)
        pool = pools[around] == number
        if pool.sum() * spacing**3 / 1000 < POOL_ML:
            continue
        shell = ndimage.binary_dilation(pool) & ~pool
        touches = (near[around] & shell).sum() > TOUCHED * shell.sum()
        if touches and np.median(smooth[around][pool]) < FLUID_MEDIAN_HU:
            found[around] |= pool
    return found


def _sides(where: Where, body: Where, spacing: float) -> dict[Side, float]:
    """Millilitres on each side of the body's middle."""
    across = np.flatnonzero(body.any((1, 2)))
    middle = (int(across[0]) + int(across[-1]) + 1) // 2 if len(across) else 0
    millilitre = spacing**3 / 1000
    return {
        Side.LEFT: float(where[:middle].sum() * millilitre),
        Side.RIGHT: float(where[middle:].sum() * millilitre),
    }


def _heart_ratio(smooth: Volume, lungs: Where, spacing: float) -> float:
    """The breadth of what lies between the lungs and has room for a ball."""
    between = np.maximum.accumulate(lungs, 0) & np.maximum.accumulate(lungs[::-1], 0)[::-1]
    solid = ndimage.binary_opening((smooth > 0) & between & ~lungs, ball(HEART_MM / spacing))
    pieces = pieces_of(solid, spacing)
    if not (pieces.ml > HEART_ML).any():
        return float("nan")
    across = np.flatnonzero(lungs.any((1, 2)))
    middle = (across[0] + across[-1]) / 2
    centres = np.array(ndimage.center_of_mass(solid, pieces.labels, pieces.numbers))[:, 0]
    off = np.abs(centres - middle) * spacing - 0.02 * pieces.ml  # the larger may lie more to a side
    off[pieces.ml <= HEART_ML] = np.inf
    heart = np.flatnonzero((pieces.labels == pieces.numbers[off.argmin()]).any((1, 2)))
    return float((heart[-1] - heart[0] + 1) / (across[-1] - across[0] + 1))
