"""DICOM in: a folder, a multi-frame file or a slice becomes one image."""

import hashlib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from medgen.errors import InputError, UsageError
from medgen.io.dicom.header import IDENTITY_KEYWORDS, source_header
from medgen.io.dicom.parse import parse, sha256
from medgen.io.dicom.pixels import rescaled, stored_frames
from medgen.io.dicom.radiograph import read_radiograph
from medgen.io.dicom.series import Radiograph, Stack, find
from medgen.io.dicom.stack import Slice, grid, volumes
from medgen.io.image import MedicalImage, Source
from medgen.io.limits import MAX_VOXELS, check_voxels
from medgen.modality import Kind


def read(
    path: Path,
    *,
    series: str | None = None,
    frame: int | None = None,
    max_voxels: int | float = MAX_VOXELS,
) -> MedicalImage:
    """Read one volume or radiograph.

    Slices are ordered by their position along the normal; InstanceNumber is never looked at. A
    CT is in HU. An MRI's contrast stays open, because headers do not say it reliably.

    Args:
        path: A folder, a multi-frame file, or one slice (a volume of one voxel's depth).
        series: Which series where there are several: its number or the end of its UID.
        frame: Which volume, from 0, where every place was imaged several times (echoes, time
            points); which frame of a multi-frame radiograph.
        max_voxels: Refuse more voxels than this before any is read.

    Returns:
        A volume with axes (column, row, slice) of the files, or a radiograph (row, column).

    Raises:
        UsageError: If there are several series or volumes and none is chosen.
        GeometryError: If slices are missing, doubled, unevenly spaced or tilted.
        InputError: If a file is damaged, of another kind, or compressed beyond what is installed.
    """
    if not path.exists():
        raise InputError(f"{path}: does not exist")
    found = find(path, series=series)
    if isinstance(found, Radiograph):
        return read_radiograph(found.path, found.form, frame=frame, max_voxels=max_voxels)
    return _read_volume(path, found, frame=frame, max_voxels=max_voxels)


def _read_volume(
    path: Path, stack: Stack, *, frame: int | None, max_voxels: int | float
) -> MedicalImage:
    volume = _one_volume(volumes(stack.slices, path), frame, path)
    geometry = grid(volume, path)
    form = volume[0].form
    check_voxels(path, (form.columns, form.rows, len(volume)), max_voxels)
    voxels = _voxels(volume)
    header = source_header(
        volume[0].path,
        parse(volume[0].path, IDENTITY_KEYWORDS),
        tuple(one.instance for one in volume),
        geometry.affine,
        tuple((one.slope, one.intercept) for one in volume if one.form.bytes_each <= 2),
    )
    return MedicalImage(
        voxels=voxels,
        geometry=geometry,
        kind=Kind(volume[0].modality),
        source=Source(path, "dicom", _hash(volume), {"dicom": header}),
    )


def _one_volume(found: list[list[Slice]], frame: int | None, path: Path) -> list[Slice]:
    if len(found) == 1 and frame in (None, 0):
        return found[0]
    if frame is None or not 0 <= frame < len(found):
        raise UsageError(
            f"{path}: holds {len(found)} volume{'s' if len(found) > 1 else ''} of the same place "
            f"(echoes, time points); choose --frame 0 to {len(found) - 1}"
        )
    return found[frame]


def _voxels(volume: Sequence[Slice]) -> Shaped[np.ndarray, "i j k"]:
    """Read the planes of sorted slices, file by file."""
    planes = []
    for path, group in groupby(volume, key=lambda one: one.path):
        here = list(group)
        frames = stored_frames(path, here[0].form, [one.frame for one in here])
        for one, stored in zip(here, frames, strict=True):
            planes.append(rescaled(stored, one.slope, one.intercept))
    kinds = {plane.dtype.type for plane in planes}
    kind = np.float32 if np.float32 in kinds else np.result_type(*kinds)
    voxels = np.empty((*planes[0].shape[::-1], len(planes)), kind, order="F")
    for k, plane in enumerate(planes):
        voxels[:, :, k] = plane.T
    return voxels


def _hash(volume: Sequence[Slice]) -> str:
    """Hash the files in the order of the slices, whatever they are called."""
    paths = dict.fromkeys(one.path for one in volume)
    if len(paths) == 1:
        return sha256(volume[0].path)
    return hashlib.sha256("".join(map(sha256, paths)).encode()).hexdigest()
