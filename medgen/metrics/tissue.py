"""Where a synthetic CT is wrong: in air, in soft tissue or in bone, and whether the bone fits."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Num

AIR_BELOW_HU, BONE_ABOVE_HU = -200.0, 250.0  # of the truth; between them is soft tissue


@dataclass(frozen=True)
class TissueScores:
    """Errors by what the truth is; NaN where the mask has none of it.

    Attributes:
        mae_air: Mean absolute error where the truth is below -200 HU.
        mae_soft: Where it is from -200 to 250 HU.
        mae_bone: Where it is above 250 HU.
        dice_bone: Overlap of what is above 250 HU in each, 0 to 1.
    """

    mae_air: float
    mae_soft: float
    mae_bone: float
    dice_bone: float


def tissue_scores(
    pred: Num[np.ndarray, "i j k"], truth: Num[np.ndarray, "i j k"], mask: Bool[np.ndarray, "i j k"]
) -> TissueScores:
    """Compare inside the mask, by tissue of the truth; all in HU."""
    p, t = pred[mask].astype(np.float64), truth[mask].astype(np.float64)
    error = np.abs(p - t)
    air, bone = t < AIR_BELOW_HU, t > BONE_ABOVE_HU
    return TissueScores(
        mae_air=_mean(error[air]),
        mae_soft=_mean(error[~air & ~bone]),
        mae_bone=_mean(error[bone]),
        dice_bone=dice(p > BONE_ABOVE_HU, bone),
    )


def dice(one: Bool[np.ndarray, "*space"], other: Bool[np.ndarray, "*space"]) -> float:
    """Overlap of two masks: 1 if equal, 0 if apart, NaN if both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
