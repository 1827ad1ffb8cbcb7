"""Is the skull closed? Rays from inside the brain to the upper half of the head must meet bone."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Num
from scipy import ndimage

from benchmarks.cases import Loaded
from benchmarks.data import CT, T1
from benchmarks.machine import commit, today
from benchmarks.methods import Method
from benchmarks.rows import Row, Store
from medgen.data.body import body_of
from medgen.io import files
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.io.preview import write_preview
from medgen.io.provenance import Provenance
from medgen.metrics.tissue import BONE_ABOVE_HU

RAYS = 4000
STEP_MM, REACH_MM = 0.5, 160.0
BELOW_VERTEX_MM = 75.0  # about the middle of an adult brain, above the skull base
LEVEL_MM = 25.0  # half the thickness of the slab whose middle is the brain's


def closed_share(
    hu: Num[np.ndarray, "i j k"],
    geometry: Geometry,
    centre: Float[np.ndarray, "3"],
    *,
    rays: int = RAYS,
) -> float:
    """Share of rays from `centre` into the upper hemisphere that somewhere exceed 250 HU.

    Args:
        hu: A CT.
        geometry: Voxel index to RAS+ mm.
        centre: In the brain, RAS+ mm.
        rays: How many, evenly over the hemisphere.
    """
    reach = np.arange(STEP_MM, REACH_MM, STEP_MM)
    points = centre + upper_hemisphere(rays)[:, None] * reach[:, None]  # (rays, steps, 3)
    inverse = np.linalg.inv(geometry.affine)
    index = np.moveaxis(points @ inverse[:3, :3].T + inverse[:3, 3], -1, 0)
    along = ndimage.map_coordinates(hu.astype(np.float32), index, order=1, cval=-1000.0)
    return float((along.max(axis=1) > BONE_ABOVE_HU).mean())


def upper_hemisphere(count: int) -> Float[np.ndarray, "count 3"]:
    """Unit vectors of equal share of the hemisphere above: a Fibonacci lattice."""
    number = np.arange(count) + 0.5
    up = number / count  # equal heights are equal areas (Archimedes)
    turn = np.pi * (1 + 5**0.5) * number
    flat = np.sqrt(1 - up**2)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), up], axis=1)


def brain_centre(image: MedicalImage) -> Float[np.ndarray, "3"]:
    """A point in the middle of the brain, RAS+ mm, from the outline of the head alone."""
    index = np.argwhere(body_of(image))
    world = index @ image.geometry.affine[:3, :3].T + image.geometry.affine[:3, 3]
    level = world[:, 2].max() - BELOW_VERTEX_MM
    slab = world[np.abs(world[:, 2] - level) < LEVEL_MM]
    left, front = (slab[:, :2].min(0) + slab[:, :2].max(0)) / 2
    return np.array([left, front, level])


def real_heads(
    data: Path, method: Method, store: Store, *, count: int | None = None
) -> Iterator[Row]:
    """Yield the closed share of every real head; a preview of each is kept."""
    for file in sorted((data / "mri_heads").glob("*.nii.gz"))[:count]:
        name = file.name.removesuffix(".nii.gz")
        path = store.path("skull", method.name, method.key, name)
        picture = store.folder / "previews" / f"{name}-{method.name}-{method.key}.png"
        if row := store.row(path, partial(_measured, file, name, method, picture)):
            yield row


def _measured(file: Path, name: str, method: Method, picture: Path) -> Row:
    mri = replace(files.read(file), kind=T1)
    nowhere = np.zeros(mri.voxels.shape, bool)
    made = method.predict(Loaded(mri, mri.voxels, nowhere), CT)
    ct = mri.with_voxels(made.voxels, CT)
    picture.parent.mkdir(parents=True, exist_ok=True)
    source = Provenance("translate", method.name, method.key)
    write_preview(mri, ct, picture, provenance=source, overwrite=True)
    share = closed_share(ct.voxels, ct.geometry, brain_centre(mri))
    scores = {"closed_share": share}
    return Row("skull", name, str(T1), str(CT), method.name, scores, 0.0, commit(), today())
