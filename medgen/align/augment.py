"""Views of an image that mean the same: moved and lit a little differently, never mirrored."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from medgen.config import check_least
from medgen.errors import UsageError

Picture = Float[Tensor, "channels *space"]
"""One image in [-1, 1]: a radiograph or a volume."""

RANGE = 2.0  # from -1 to 1
MOST_VARIANCE = 0.5  # of one step of diffusion, voxels²: beyond it the middle weighs least


@dataclass(frozen=True)
class AugmentConfig:
    """The most that a view may differ; 0 leaves a thing as it is.

    Where values have a unit, as HU do, `gamma` and `contrast` belong at 0: blood and brain differ
    by 1 % of the range of CT.

    Attributes:
        degrees: Rotation about each axis.
        zoom: Change of size, as a share; enlarging is what crops.
        shift: Along each axis, as a share of its length.
        gamma: Logarithm of the exponent of the grey levels.
        contrast: Change of gain, and of offset, as a share of the range.
        blur: Standard deviation, voxels.
        noise: Standard deviation, as a share of the range.
        erase: Edges of a box that is blanked with the mean, as shares of those of the image.
    """

    degrees: float = 8.0
    zoom: float = 0.1
    shift: float = 0.05
    gamma: float = 0.3
    contrast: float = 0.1
    blur: float = 0.7
    noise: float = 0.02
    erase: float = 0.1

    def __post_init__(self) -> None:
        """Raises UsageError for less than nothing, or more than the whole image."""
        check_least(self, 0, *(each.name for each in fields(self)))
        if self.zoom >= 1 or self.erase > 1:
            raise UsageError("zoom must be in [0, 1), and erase in [0, 1]")


def augmented(picture: Picture, generator: Generator, config: AugmentConfig) -> Picture:
    """Another view of one image in [-1, 1]; the same generator gives the same view.

    Every step but the last, noise, draws as many numbers whatever its extent, so setting one to 0
    leaves the others as they were. What is 0 costs no time.
    """
    return augmented_with(picture, None, generator, config)[0]


def augmented_with(
    picture: Picture,
    masks: Float[Tensor, "findings *half"] | None,
    generator: Generator,
    config: AugmentConfig,
) -> tuple[Picture, Float[Tensor, "findings *half"] | None]:
    """Another view, and where the masks of its image come to lie in it.

    Args:
        picture: As for `augmented`.
        masks: Shares of the same image, 0 to 1, on a grid of any resolution.
        generator: As for `augmented`.
        config: As for `augmented`.
    """
    theta = motion(generator, picture.shape[1:], config)
    view = _moved(picture, theta, padding="border")
    view = _lit(view, generator, config)
    view = _blurred(view, config.blur * _share(generator))
    view = _erased(view, generator, config.erase)
    view = _noised(view, generator, config.noise).clamp(-1, 1)
    return view, None if masks is None else _moved(masks, theta, padding="zeros")


def motion(
    generator: Generator, space: Sequence[int], config: AugmentConfig
) -> Float[Tensor, "axes columns"]:
    """A rotation, zoom and shift, as `affine_grid` takes it: from normalised view to image.

    Its determinant is positive: a rotation turns, and never mirrors.
    """
    axes = len(space)
    turn = torch.eye(axes)
    for one, other in combinations(range(axes), 2):
        angle = math.radians(config.degrees) * _signed(generator)
        plane = torch.eye(axes)
        plane[one, one] = plane[other, other] = math.cos(angle)
        plane[one, other], plane[other, one] = -math.sin(angle), math.sin(angle)
        turn = turn @ plane
    turn = turn / (1 + config.zoom * _signed(generator))
    # Normalised coordinates have the last axis first, and all edges of one length: voxels do not.
    edges = torch.tensor([float(size) for size in reversed(space)])
    shift = torch.tensor([2 * config.shift * _signed(generator) for _ in space])
    return torch.cat([turn * edges / edges[:, None], shift[:, None]], dim=1)


def _moved(
    picture: Float[Tensor, "stacked *grid"],
    theta: Float[Tensor, "axes columns"],
    *,
    padding: Literal["border", "zeros"],
) -> Float[Tensor, "stacked *grid"]:
    grid = F.affine_grid(theta[None].to(picture), [1, *picture.shape], align_corners=False)
    return F.grid_sample(picture[None], grid, padding_mode=padding, align_corners=False)[0]


def _lit(picture: Picture, generator: Generator, config: AugmentConfig) -> Picture:
    exponent = math.exp(config.gamma * _signed(generator))
    gain, offset = 1 + config.contrast * _signed(generator), config.contrast * _signed(generator)
    if not config.gamma and not config.contrast:
        return picture
    light = ((picture + 1) / RANGE).clamp(0, 1) ** exponent
    return RANGE * (gain * light + offset) - 1


def _blurred(picture: Picture, deviation: float) -> Picture:
    """Steps of diffusion along every axis, each adding its part of the variance."""
    steps = math.ceil(deviation**2 / MOST_VARIANCE)
    for _ in range(steps):
        for axis in range(1, picture.ndim):
            last = picture.shape[axis] - 1
            flow = picture.diff(dim=axis) * (deviation**2 / steps / 2)
            picture = picture.clone()
            picture.narrow(axis, 0, last).add_(flow)
            picture.narrow(axis, 1, last).sub_(flow)
    return picture


def _noised(picture: Picture, generator: Generator, extent: float) -> Picture:
    if not extent:
        return picture
    deviation = RANGE * extent * _share(generator)
    noise = torch.randn(picture.shape, generator=generator).to(picture)
    return noise.mul_(deviation).add_(picture)


def _erased(picture: Picture, generator: Generator, extent: float) -> Picture:
    box = [slice(None)]
    for size in picture.shape[1:]:
        edge = round(extent * _share(generator) * size)
        start = int(_share(generator) * (size - edge + 1))
        box.append(slice(start, start + edge))
    if not extent:
        return picture
    view = picture.clone()
    view[tuple(box)] = picture.mean()
    return view


def _share(generator: Generator) -> float:
    """One number in [0, 1)."""
    return float(torch.rand((), generator=generator))


def _signed(generator: Generator) -> float:
    """One number in [-1, 1)."""
    return 2 * _share(generator) - 1
