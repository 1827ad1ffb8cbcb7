"""Images as codecs take them: one channel in [-1, 1], radiographs squared, volumes isotropic."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float16
from torch import Tensor

from medgen.data.intensity import intensity_of
from medgen.data.resample import Grid, isotropic_grid, resample
from medgen.data.standard import StandardConfig, body_voxels, fitting_spacing, standard_grid
from medgen.data.study import Study
from medgen.data.view_cache import cached_view
from medgen.errors import MedgenError
from medgen.io import files
from medgen.io.image import MedicalImage
from medgen.modality import Modality
from medgen.tasks.unreadable import Unreadable

CELLS = 112  # voxels a side of what flows of volumes make


@dataclass(frozen=True)
class FrameConfig:
    """The grid of the images that a codec takes.

    Attributes:
        side: Pixels of a radiograph, which is brought to a square.
        spacing: Of a volume, mm.
        wide: The same where the body needs more than `CELLS` of them from side to side.
    """

    side: int = 256
    spacing: float = 2.0
    wide: float = 3.0

    @property
    def spacings(self) -> StandardConfig:
        """How the spacing of a volume is chosen: as flows choose it."""
        return StandardConfig(shape=(CELLS, CELLS, CELLS), spacings=(self.spacing, self.wide))


def framed(
    path: Path, modality: Modality, config: FrameConfig, cache: Path | None = None
) -> Float16[Tensor, "1 *space"]:
    """An image on the codec's grid.

    A radiograph is squared as for the encoders, with more pixels. A volume is turned upright;
    its CT numbers span the scanner's whole range, its MRI signal the usual percentiles.

    Raises:
        InputError: If it cannot be read.
        OutputError: If the cache cannot be written.
    """
    if modality is Modality.XRAY:
        view = cached_view(path, modality, StandardConfig(side=config.side), cache)
        return torch.from_numpy(view)
    image = files.read(path)
    body = body_voxels(image.voxels, modality)
    spacing = fitting_spacing(image.geometry, config.spacings, body)
    i, j, k = image.voxels.shape
    grid = isotropic_grid(Grid((i, j, k), image.geometry), spacing)
    return on_grid(image, modality, grid)


@dataclass(frozen=True)
class Whole:
    """A volume as a flow of volumes takes it.

    Attributes:
        image: One channel in [-1, 1], upright, on the flow's grid.
        spacing: Of its voxels, mm.
    """

    image: Float16[Tensor, "1 i j k"]
    spacing: float


def framed_whole(
    path: Path, modality: Modality, config: StandardConfig, grid: Grid | None = None
) -> Whole:
    """A volume on a grid of fixed shape around its middle; its values as `framed` has them.

    Args:
        path: Its file or folder.
        modality: CT or MRI.
        config: The shape, and the spacings to choose from by the breadth of the body.
        grid: Another volume's, on which this one is to lie as well.

    Raises:
        InputError: If it cannot be read.
    """
    image = files.read(path)
    grid = grid or grid_of_whole(image, modality, config)
    return Whole(on_grid(image, modality, grid), grid.geometry.spacing[0])


def whole_grid(path: Path, modality: Modality, config: StandardConfig) -> Grid:
    """The grid on which `framed_whole` brings a volume.

    Raises:
        InputError: If it cannot be read.
    """
    return grid_of_whole(files.read(path), modality, config)


def grid_of_whole(image: MedicalImage, modality: Modality, config: StandardConfig) -> Grid:
    """The same of a volume in memory."""
    return standard_grid(image, config, body_voxels(image.voxels, modality))


def on_grid(image: MedicalImage, modality: Modality, grid: Grid) -> Float16[Tensor, "1 i j k"]:
    """A volume in [-1, 1] on a grid; air around it."""
    window = intensity_of(modality, image.voxels)
    volume = resample(image.voxels, image.geometry, grid, fill=float(window.low))
    return torch.from_numpy(window.normalise(volume).astype(np.float16))[None]


def framed_images(
    studies: Sequence[Study],
    modality: Modality,
    config: FrameConfig,
    *,
    cache: Path | None = None,
    max_bad: float = 0.05,
) -> Iterator[tuple[str, list[Float16[Tensor, "1 *space"]]]]:
    """The images of studies, by the study's id; what cannot be read is left out and told once.

    Raises:
        InputError: If more than that share of the studies cannot be read.
    """
    unreadable = Unreadable(len(studies), max_bad)
    for at, study in enumerate(studies):
        try:
            images = [framed(path, modality, config, cache) for path in study.of(modality)]
        except MedgenError as error:
            unreadable.leave_out(study.id, at + 1, error)
            continue
        yield study.id, images


def random_patch(
    image: Float[Tensor, "1 *space"] | Float16[Tensor, "1 *space"],
    side: int,
    generator: torch.Generator,
) -> Float[Tensor, "1 *patch"]:
    """A cube of an image, or what there is of it, filled up with its lowest value."""
    size = torch.tensor(image.shape[1:])
    room = (size - side).clamp(min=0)
    corner = (torch.rand(len(size), generator=generator) * (room + 1)).long()
    part = image[(slice(None), *(slice(at, at + side) for at in corner.tolist()))].float()
    whole = torch.full((1, *[side] * len(size)), float(image.min()))
    whole[(slice(None), *(slice(length) for length in part.shape[1:]))] = part
    return whole
