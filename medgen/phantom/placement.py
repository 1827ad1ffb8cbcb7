"""Placement: one anatomy becomes many patients, by a random affine and a smooth deformation."""

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from medgen.phantom.anatomy import Anatomy
from medgen.phantom.field import Shape, chance, smooth_field, uniform
from medgen.phantom.part import MIRRORED


@dataclass(frozen=True)
class PlacementConfig:
    """How much patients differ from the anatomy they come from."""

    rotation: float = 12.0  # largest tilt of the head about each axis, degrees
    size: float = 0.12  # largest relative change of size along each axis
    bend_mm: float = 3.0  # standard deviation of the coarse deformation
    ripple_mm: float = 1.0  # standard deviation of the fine deformation
    mirror: float = 0.5  # share of patients that are mirrored left to right
    is_round: bool = False  # whether the deformation is free of kinks; takes a little longer


STILL = PlacementConfig(rotation=0, size=0, bend_mm=0, ripple_mm=0, mirror=0)
"""The anatomy as it is."""


def place(
    anatomy: Anatomy,
    shape: Shape,
    *,
    spacing: float,
    centre: Float[Tensor, "3"],
    generator: Generator,
    config: PlacementConfig,
) -> UInt8[Tensor, "i j k"]:
    """Sample the tissues of a randomly deformed anatomy on a grid.

    Args:
        anatomy: The body.
        shape: Voxels of the grid along i, j, k (Right, Anterior, Superior).
        spacing: Voxel size of the grid, mm.
        centre: Where the middle of the grid falls in the anatomy, mm from the anatomy's middle.
        generator: Source of the patient.
        config: How far patients differ.

    Returns:
        The nearest tissue of each voxel; air beyond the anatomy.
    """
    tissue, _ = place_parts(
        anatomy, shape, spacing=spacing, centre=centre, generator=generator, config=config
    )
    return tissue


def place_parts(
    anatomy: Anatomy,
    shape: Shape,
    *,
    spacing: float,
    centre: Float[Tensor, "3"],
    generator: Generator,
    config: PlacementConfig,
) -> tuple[UInt8[Tensor, "i j k"], UInt8[Tensor, "i j k"] | None]:
    """As `place`; and the part that each voxel belongs to, where the anatomy knows it.

    A mirrored anatomy's left parts become right ones: they are named where they come to lie.
    """
    matrix = random_affine(generator, config)
    axes = [(torch.arange(size) - (size - 1) / 2) * spacing for size in shape]
    field = partial(smooth_field, shape, channels=3, is_round=config.is_round)
    bend = field(scale=32 / spacing, generator=generator) * config.bend_mm
    ripple = field(scale=14 / spacing, generator=generator) * config.ripple_mm
    shift = bend + ripple
    source = torch.tensor(anatomy.tissue.shape)
    index = []
    for world in range(3):
        mm = (
            matrix[world, 0] * axes[0][:, None, None]
            + matrix[world, 1] * axes[1][:, None]
            + matrix[world, 2] * axes[2]
            + (centre[world] + shift[world])
        )
        step = anatomy.spacing[world]
        index.append((mm / step + (source[world] - 1) / 2).round_().long())
    inside = torch.ones(shape, dtype=torch.bool)
    for world in range(3):
        inside &= (index[world] >= 0) & (index[world] < source[world])
        index[world].clamp_(0, int(source[world]) - 1)
    flat = (index[0] * source[1] + index[1]) * source[2] + index[2]
    tissue = anatomy.tissue.flatten()[flat] * inside
    if anatomy.part is None:
        return tissue, None
    part = anatomy.part.flatten()[flat] * inside
    is_mirrored = float(torch.linalg.det(matrix)) < 0
    return tissue, MIRRORED[part.long()] if is_mirrored else part


def random_affine(generator: Generator, config: PlacementConfig) -> Float[Tensor, "3 3"]:
    """A rotation times a change of size along each axis, mirrored or not."""
    turns = torch.rand(3, generator=generator) * 2 - 1
    x, y, z = (turns * config.rotation * torch.pi / 180).tolist()
    rotation = torch.linalg.matrix_exp(torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]))
    sizes = 1 + config.size * (2 * torch.rand(3, generator=generator) - 1)
    if chance(config.mirror, generator):
        sizes[0] = -sizes[0]
    return rotation * sizes


def random_centre(anatomy: Anatomy, extent: float, generator: Generator) -> Float[Tensor, "3"]:
    """Somewhere for the middle of a patch of `extent` mm, so that most of it lies in the body."""
    middle = []
    for size, step in zip(anatomy.tissue.shape, anatomy.spacing, strict=True):
        reach = max(0.0, (size * step - extent) / 2 + 0.15 * extent)
        middle.append(uniform(-reach, reach, generator))
    return torch.tensor(middle)
