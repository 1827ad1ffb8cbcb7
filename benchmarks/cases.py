"""What is measured: a source image, what shall be made of it, the truth, and where it counts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from benchmarks import heldout
from benchmarks.data import CT, T1, body_mask_of, of_split
from medgen.data.body import body_of
from medgen.data.resample import Grid, resample
from medgen.data.study import Split, Study
from medgen.errors import InputError
from medgen.io import files
from medgen.io.image import MedicalImage
from medgen.modality import AIR_HU, Contrast, Kind, Modality

MRI = {contrast: Kind(Modality.MRI, contrast) for contrast in Contrast}
MRI_TO_MRI = [
    (Contrast.T1, Contrast.T2),
    (Contrast.T2, Contrast.T1),
    (Contrast.T1, Contrast.FLAIR),
    (Contrast.T2, Contrast.FLAIR),
    (Contrast.T2, Contrast.PD),
    (Contrast.PD, Contrast.T1),
]


@dataclass(frozen=True)
class Loaded:
    """The voxels of a case, all on the source's grid.

    Attributes:
        source: What is translated, as read.
        truth: What should come out.
        mask: Where it counts: inside the body, where the truth is known.
        edge: Where the truth's grid ends less than half a voxel short; the data README counts
            the truth as air there.
    """

    source: MedicalImage
    truth: Float[np.ndarray, "i j k"]
    mask: Bool[np.ndarray, "i j k"]
    edge: Bool[np.ndarray, "i j k"] | None = None


@dataclass(frozen=True)
class Case:
    """One thing to translate.

    Attributes:
        part: Which table it belongs to.
        subject: The patient.
        source: What it is made from.
        target: What is made.
        load: Reads the voxels.
    """

    part: str
    subject: str
    source: Kind
    target: Kind
    load: Callable[[], Loaded]

    @property
    def name(self) -> str:
        """Safe in a file name, and unique in its part."""
        return f"{self.subject}-{self.source.slug}-to-{self.target.slug}"


def real_pairs(data: Path, split: Split = Split.TEST) -> Iterator[Case]:
    """MRI to CT of the real patients, on the MRI's own grid."""
    for study in of_split(data, split):
        yield Case("pairs", study.id, T1, CT, partial(load_to_ct, data, study))


def real_pairs_to_mri(data: Path) -> Iterator[Case]:
    """CT to T1 of the same, on the CT's own grid."""
    for study in of_split(data, Split.TEST):
        yield Case("mri", study.id, CT, T1, partial(load_to_mri, data, study))


def load_to_ct(data: Path, study: Study) -> Loaded:
    """The MRI as read; the CT resampled through the affines; the mask of the data README."""
    ct, mri = _read(study, CT), _read(study, T1)
    truth, known = onto(ct, mri, AIR_HU)
    mask = body_mask_of(data)(mri.voxels) & known
    return Loaded(mri, truth, mask, mask & ~between_centres(ct, mri))


def load_to_mri(data: Path, study: Study) -> Loaded:
    """The CT as read; the MRI and its body resampled through the affines."""
    ct, mri = _read(study, CT), _read(study, T1)
    truth, known = onto(mri, ct, 0.0)
    body = mri.with_voxels(body_mask_of(data)(mri.voxels).astype(np.float32), T1)
    inside, _ = onto(body, ct, 0.0)
    return Loaded(ct, truth, (inside > 0.5) & known)


def onto(
    image: MedicalImage, other: MedicalImage, fill: float
) -> tuple[Float[np.ndarray, "i j k"], Bool[np.ndarray, "i j k"]]:
    """An image on another's grid, and which of its voxels it covers."""
    i, j, k = other.voxels.shape
    found = resample(image.voxels, image.geometry, Grid((i, j, k), other.geometry), fill=np.nan)
    known = np.isfinite(found)
    return np.where(known, found, np.float32(fill)), known


def between_centres(image: MedicalImage, other: MedicalImage) -> Bool[np.ndarray, "i j k"]:
    """Which voxels of `other` lie between centres of `image`, not merely in an outer voxel."""
    matrix = np.linalg.inv(image.geometry.affine) @ other.geometry.affine
    index = np.indices(other.voxels.shape, dtype=np.float64)
    inside = np.ones(other.voxels.shape, bool)
    for axis, size in enumerate(image.voxels.shape):
        at = matrix[axis, 3] + np.tensordot(matrix[axis, :3], index, 1)
        inside &= (at >= 0) & (at <= size - 1)
    return inside


def held_out_heads(data: Path, cache: Path) -> Iterator[Case]:
    """Every contrast of the held-out simulated heads to CT, on the truth's own grid."""
    for name in heldout.HEADS:
        for kind in MRI.values():
            yield _head_case("heads", data, cache, name, kind, CT)


def held_out_mri(data: Path, cache: Path) -> Iterator[Case]:
    """CT to every contrast, and contrasts to one another, of the held-out simulated heads."""
    for name in heldout.HEADS:
        for kind in MRI.values():
            yield _head_case("mri", data, cache, name, CT, kind)
        for source, target in MRI_TO_MRI:
            yield _head_case("mri", data, cache, name, MRI[source], MRI[target])


def _head_case(part: str, data: Path, cache: Path, name: str, source: Kind, target: Kind) -> Case:
    def load() -> Loaded:
        return load_head(rendered(data, cache) / name, source, target)

    return Case(part, name, source, target, load)


def heads_folder(cache: Path) -> Path:
    """Where the held-out heads are, once they are rendered."""
    return cache / f"heldout-{heldout.VERSION}"


def rendered(data: Path, cache: Path) -> Path:
    """The folder with the held-out studies, rendered once and checked against the list.

    Raises:
        InputError: If a study is not what the list says, up to what processors differ in.
    """
    done = heads_folder(cache)
    if not done.is_dir():
        draft = done.with_suffix(".partial")
        if heldout.main(["--data", str(data), "-o", str(draft)]):
            raise InputError(f"{heldout.LIST}: the studies rendered here are others; see above")
        draft.rename(done)
    return done


def load_head(folder: Path, source: Kind, target: Kind) -> Loaded:
    """Source and truth of a simulated head; the mask is its body in the true CT, filled."""
    ct, image, truth = (
        replace(files.read(folder / f"{kind.slug}.nii.gz"), kind=kind)
        for kind in (CT, source, target)
    )
    if image.voxels.shape != truth.voxels.shape:
        raise InputError(f"{folder}: its images are not on one grid; render it again")
    return Loaded(image, truth.voxels.astype(np.float32), body_of(ct))


def _read(study: Study, kind: Kind) -> MedicalImage:
    return replace(files.read(study.images[kind]), kind=kind)
