"""What a CT of a head shows, by geometry alone: fresh blood on either side, and wide ventricles.

Nothing here was learned. The limits were set on 160 simulated heads of the training seeds;
`benchmarks.cts` says how often they are right on held-out ones, whose findings are known. Blood of
less than 15 mm, and ventricles that are a little wide, are within the spread of the normal, and are
not asked about.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from benchmarks.pieces import Pieces, pieces_of
from medgen.finding import Side

BLUR_MM = 2.0  # less than the smallest bleeding that counts, more than the noise
BONE_HU, SKULL_ML = 160.0, 5.0
SOFT_HU = (-5.0, 120.0)
CORE_MM, RIM_MM = 9.0, 10.0  # a brain is what is that deep in soft tissue, and what is near it
DENSER_HU, DENSEST_HU = 11.0, 110.0  # than the brain; and what is denser yet is chalk
BLOOD_HU, BLOOD_ML = 20.0, 0.7  # of a whole bleeding: its mean over the brain's, and its volume
FROM_BONE_MM, DEEP_MM = 5.0, 8.0  # nearer to bone, it is bone's blur
CHALK_ML = 0.03
FLUID_HU, FROM_SKULL_MM = 18.0, 20.0
WIDE = 0.075  # share of the head's inside from which on ventricles are wide
LEAST_MM = 15.0  # of a bleeding that is asked about

Volume = Float[np.ndarray, "right anterior superior"]
Where = Bool[np.ndarray, "right anterior superior"]


@dataclass(frozen=True)
class HeadMeasures:
    """What was found in one head.

    Attributes:
        blood_ml: The largest bleeding on each side.
        density_hu: Mean of all bleedings; NaN without any.
        ventricles: Share of the head's inside.
    """

    blood_ml: dict[Side, float]
    density_hu: float
    ventricles: float

    def shows(self, name: str, side: Side | None) -> bool:
        """Whether a finding is there; only `haemorrhage` and `ventriculomegaly` are measured."""
        if name == "haemorrhage" and side is not None:
            return self.blood_ml[side] > BLOOD_ML
        return self.ventricles > WIDE


def measure_head(hu: Volume, spacing: float) -> HeadMeasures:
    """Measure a head.

    Args:
        hu: Upright: indices rise to the right, to the front and upwards.
        spacing: Of its cubic voxels, mm.
    """
    smooth = ndimage.gaussian_filter(hu.astype(np.float32), BLUR_MM / spacing)
    bone = pieces_of(smooth > BONE_HU, spacing)
    skull = bone.only(bone.ml > SKULL_ML).where
    brain = _brain(smooth, skull, spacing)
    nothing = HeadMeasures({Side.LEFT: 0.0, Side.RIGHT: 0.0}, float("nan"), 0.0)
    if not brain.any():
        return nothing
    from_bone = ndimage.distance_transform_edt(~skull) * spacing
    blood = _blood(smooth, brain, from_bone, spacing)
    across = np.flatnonzero(brain.any((1, 2)))
    middle = (across[0] + across[-1] + 1) / 2
    volumes = {Side.LEFT: 0.0, Side.RIGHT: 0.0}
    for number, ml in zip(blood.numbers, blood.ml, strict=True):
        rightwards = np.argwhere(blood.labels == number)[:, 0].mean()
        side = Side.RIGHT if rightwards >= middle else Side.LEFT
        volumes[side] = max(volumes[side], float(ml))
    ventricles = _opened(brain & (smooth < FLUID_HU)) & (from_bone > FROM_SKULL_MM)
    return HeadMeasures(
        volumes,
        float(smooth[blood.where].mean()) if len(blood.ml) else float("nan"),
        float(ventricles.sum() / brain.sum()),
    )


def _brain(smooth: Volume, skull: Where, spacing: float) -> Where:
    """All that lies within the skull: the largest depth of soft tissue, and what is around it."""
    inside = _enclosed(skull)
    soft = (smooth > SOFT_HU[0]) & (smooth < SOFT_HU[1]) & inside
    depth = ndimage.distance_transform_edt(np.pad(soft, 1))[1:-1, 1:-1, 1:-1] * spacing
    cores = pieces_of(depth > CORE_MM, spacing)
    if not len(cores.ml):
        return np.zeros_like(soft)
    core = cores.labels == cores.numbers[cores.ml.argmax()]
    near = ndimage.distance_transform_edt(~core) * spacing < RIM_MM
    found: Where = near & inside & ~skull & (smooth > -20)
    return found


def _enclosed(skull: Where) -> Where:
    """What has bone on its left, on its right, before, behind and above it."""
    found = np.ones_like(skull)
    for axis in (0, 1):
        found &= np.maximum.accumulate(skull, axis)
        found &= np.flip(np.maximum.accumulate(np.flip(skull, axis), axis), axis)
    found &= np.flip(np.maximum.accumulate(np.flip(skull, 2), 2), 2)
    return found


def _blood(smooth: Volume, brain: Where, from_bone: Volume, spacing: float) -> Pieces:
    """Pieces of the brain that are as dense as fresh blood, and no rims of bone or chalk."""
    usual = float(np.median(smooth[brain]))
    region = brain & (from_bone > FROM_BONE_MM)
    chalk = pieces_of(region & (smooth >= DENSEST_HU), spacing)
    rims = ndimage.binary_dilation(chalk.only(chalk.ml > CHALK_ML).where, iterations=2)
    dense = region & (smooth > usual + DENSER_HU) & (smooth < DENSEST_HU)
    lumps = pieces_of(ndimage.binary_opening(dense & ~rims), spacing)
    means = ndimage.mean(smooth, lumps.labels, lumps.numbers) - usual
    depths = ndimage.maximum(from_bone, lumps.labels, lumps.numbers)
    is_blood = (means > BLOOD_HU) & (depths > DEEP_MM) & (lumps.ml > BLOOD_ML)
    return lumps.only(is_blood)


def _opened(where: Where) -> Where:
    found: Where = ndimage.binary_opening(where, iterations=2)
    return found
