"""Anatomy: which tissue is where, from label-map files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from medgen.data.body import largest
from medgen.errors import InputError
from medgen.io import files
from medgen.io.geometry import Geometry
from medgen.io.upright import upright
from medgen.phantom.tissue import LABELS, Tissue


@dataclass(frozen=True)
class Anatomy:
    """A body made of tissues.

    Attributes:
        name: What the anatomy is called in findings and manifests.
        tissue: `Tissue` of each voxel; axes (i, j, k) point Right, Anterior, Superior.
        spacing: Voxel size along i, j, k, in mm.
        part: `Part` of each voxel; None where nobody asks.
    """

    name: str
    tissue: UInt8[Tensor, "i j k"]
    spacing: tuple[float, float, float]
    part: UInt8[Tensor, "i j k"] | None = None


def read_anatomies(path: Path) -> list[Anatomy]:
    """Read a label-map file, or every NIfTI label map in a folder, in the order of their names.

    Raises:
        InputError: If there is none, or a file is not a head label map.
    """
    return [read_anatomy(each) for each in label_maps(path)]


def label_maps(path: Path) -> list[Path]:
    """The label-map file, or every NIfTI file of a folder, in the order of their names.

    Raises:
        InputError: If there is none.
    """
    paths = sorted(path.glob("*.nii*")) if path.is_dir() else [path]
    if not paths:
        raise InputError(f"{path}: holds no .nii or .nii.gz label map")
    if missing := [each for each in paths if not each.exists()]:
        raise InputError(f"{missing[0]}: no such file or folder")
    return paths


def read_anatomy(path: Path) -> Anatomy:
    """Read one label map (FreeSurfer's numbers, see `tissue.LABELS`) and turn it to RAS+.

    Raises:
        InputError: If the file cannot be read or has labels that no table explains.
    """
    image = files.read(path)
    voxels, spacing = upright(image.voxels, image.geometry)
    known = {label for labels in LABELS.values() for label in labels} | {0}
    found = np.unique(voxels)
    if unknown := [label for label in found.tolist() if label not in known]:
        raise InputError(f"{path}: labels {unknown[:5]} are not of the head table; relabel them")
    table = np.zeros(int(max(known)) + 1, np.uint8)
    for kind, labels in LABELS.items():
        table[list(labels)] = kind
    tissue = without_islands(table[voxels.astype(np.int64)])
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    return Anatomy(name, torch.from_numpy(np.ascontiguousarray(tissue)), spacing)


def without_islands(tissue: np.ndarray) -> np.ndarray:
    """The body alone, which may be two legs: loose specks become air."""
    return np.where(largest(tissue > 0, share=0.5), tissue, np.uint8(Tissue.AIR)).astype(np.uint8)


def geometry_of(shape: tuple[int, int, int], spacing: float) -> Geometry:
    """A RAS+ grid of isotropic voxels whose middle is the origin."""
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [-(size - 1) / 2 * spacing for size in shape]
    return Geometry(affine)
