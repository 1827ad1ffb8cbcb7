"""What a scanner blurs: the point spread function, its tails, and slices thicker than voxels."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Volume = Float[Tensor, "channels i j k"]
FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))


def gaussian_kernel(fwhm: float) -> Float[Tensor, "taps"]:
    """A normalised Gaussian of this full width at half maximum, in voxels, cut at 3 sigma."""
    sigma = fwhm / FWHM_PER_SIGMA
    reach = max(1, math.ceil(3 * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    return taps / taps.sum()


def blur(volume: Volume, fwhm: tuple[float, float, float]) -> Volume:
    """Convolve with a Gaussian along each axis.

    Args:
        volume: Any quantity that a scanner averages (HU, signal).
        fwhm: Full width at half maximum along i, j, k, in voxels; below 0.3 leaves the axis alone.
    """
    result = volume[:, None]
    for axis, width in enumerate(fwhm):
        if width < 0.3:  # the neighbours would get under 1e-10 of the weight
            continue
        kernel = gaussian_kernel(width)
        reach = len(kernel) // 2
        pad, shape = [0] * 6, [1] * 5
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = reach
        shape[2 + axis] = -1
        result = F.conv3d(F.pad(result, pad, mode="replicate"), kernel.reshape(shape))
    return result[:, 0]


def thick_slices(volume: Volume, thickness: float, axis: int) -> Volume:
    """Average over slices of `thickness` voxels along `axis`, then interpolate back.

    This is what a volume of thick slices looks like once it is resampled to thin ones.
    """
    if thickness <= 1:
        return volume
    few = list(volume.shape[1:])
    few[axis] = max(2, round(few[axis] / thickness))
    return _coarser(volume, few)


def spilled(volume: Volume, share: float, reach: float) -> Volume:
    """Spread a share of the signal over what is around it; constants stay.

    Args:
        volume: Any quantity that a scanner averages.
        share: Of each voxel's signal, 0 to 1.
        reach: How far it goes, voxels.
    """
    few = [max(1, round(size / reach)) for size in volume.shape[1:]]
    return torch.lerp(volume, _coarser(volume, few), share)


def _coarser(volume: Volume, few: list[int]) -> Volume:
    """Average to so many voxels along each axis, then interpolate back."""
    averaged = F.interpolate(volume[None], few, mode="area")
    return F.interpolate(averaged, volume.shape[1:], mode="trilinear", align_corners=False)[0]
