"""A made volume with details that are made anew, on its own grid."""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float

from medgen.data.resample import Grid, isotropic_grid, resample
from medgen.instruct.refiner import Refiner
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import AIR_HU, Kind, Modality
from medgen.shapes import Embedding
from medgen.tasks.aligning.model import load_aligner
from medgen.tasks.device import choose_device
from medgen.tasks.flows.conditions import told_texts
from medgen.tasks.refining.model import load_refiner
from medgen.tasks.refining.refine import refined
from medgen.tasks.translator.translation import unit_of
from medgen.tasks.translator.translator import CT


@lru_cache(maxsize=2)
def refiner_and_nothing(model: str, modality: Modality, device: str) -> tuple[Refiner, Embedding]:
    """A refiner, and where the empty text lies for it; they stay in memory.

    Raises:
        ModelError: If the model has no refiner of the modality.
    """
    place = choose_device(device)
    refiner = load_refiner(model, modality, place)
    encoders = load_aligner(model, place)
    (nothing,) = told_texts(encoders.aligner.text_encoder, encoders.tokenizer, [""])
    return refiner, nothing.embedding


def refined_volume(
    image: MedicalImage,
    kind: Kind,
    refiner: Refiner,
    embedding: Embedding,
    *,
    steps: int,
    seed: int,
) -> Float[np.ndarray, "i j k"]:
    """A volume whose details finer than the refiner's coarse voxels are made anew.

    Args:
        image: HU, or an MRI whose 99th percentile is 1000.
        kind: What it is.
        refiner: Of its modality.
        embedding: Of the empty text.
        steps: Of the sampler.
        seed: Of the noise.

    Returns:
        On the image's own grid, in its unit.
    """
    i, j, k = image.voxels.shape
    own, unit = Grid((i, j, k), image.geometry), unit_of(kind)
    fill = AIR_HU if kind == CT else 0.0
    coarse = isotropic_grid(own, 2 * refiner.config.spacing)
    low = torch.from_numpy(
        unit.normalise(resample(image.voxels, image.geometry, coarse, fill=fill))
    )
    made = refined(low[None, None].float(), embedding, refiner, steps=steps, seeds=[seed])
    voxels = unit.denormalise(made[0, 0].cpu().numpy())
    return resample(voxels, doubled(coarse).geometry, own, fill=fill)


def doubled(grid: Grid) -> Grid:
    """The grid of which every 2 x 2 x 2 voxels fill one of another.

    Example:
        >>> grid = Grid((2, 3, 4), Geometry(np.diag([2.0, 2.0, 2.0, 1.0])))
        >>> fine = doubled(grid)
        >>> fine.shape, fine.geometry.spacing, fine.geometry.affine[0, 3].item()
        ((4, 6, 8), (1.0, 1.0, 1.0), -0.5)
    """
    affine = grid.geometry.affine.copy()
    affine[:3, :3] /= 2
    affine[:3, 3] -= affine[:3, :3].sum(1) / 2
    i, j, k = grid.shape
    return Grid((2 * i, 2 * j, 2 * k), Geometry(affine))
