"""Slices become a volume by where they lie, never by how they are numbered."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Float

from medgen.errors import GeometryError, InputError
from medgen.io.dicom.header import Instance
from medgen.io.dicom.pixels import PixelForm
from medgen.io.geometry import Geometry
from medgen.modality import Modality

SAME_PLACE_MM = 1e-3  # closer than this, two slices are two images of one place
GAP_TOLERANCE = 0.01  # of the spacing
ROUNDING_MM = 0.01  # files often give positions to two decimals
MAX_TILT_DEG = 0.5
SAME_DIRECTION = 1e-3  # largest difference of direction cosines, 0.06 degrees

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Slice:
    """One image plane of a CT or MR series.

    Attributes:
        path: Its file.
        frame: Its number in the file, from 0.
        instance: Its identity, for references to it.
        form: What the file promises about its pixels.
        modality: CT or MRI.
        series: SeriesInstanceUID.
        frame_of_reference: FrameOfReferenceUID, or empty.
        position: Centre of the first pixel, LPS+ mm.
        along_row: Unit vector of increasing column index, LPS+.
        along_column: Unit vector of increasing row index, LPS+.
        spacing: Distance between rows and between columns, mm.
        thickness: Distance to the next slice or slice thickness, mm, where the header says.
        slope: What one stored unit is worth.
        intercept: What a stored zero means.
        repeat: Echo, time point and the like: what tells images of one place apart.
        is_localizer: Whether the scanner made it only to plan other images.
    """

    path: Path
    frame: int
    instance: Instance
    form: PixelForm
    modality: Modality
    series: str
    frame_of_reference: str
    position: Triple
    along_row: Triple
    along_column: Triple
    spacing: tuple[float, float]
    thickness: float | None
    slope: float
    intercept: float
    repeat: tuple[float, ...] = ()
    is_localizer: bool = False

    @property
    def normal(self) -> Float[np.ndarray, "3"]:
        """Unit vector out of the plane, right-handed with rows and columns."""
        return np.cross(self.along_row, self.along_column)

    @property
    def depth(self) -> float:
        """Position along the normal, mm."""
        return float(np.dot(self.position, self.normal))

    def fits(self, other: "Slice") -> bool:
        """Tell whether both can be planes of one volume."""
        return (
            (self.series, self.frame_of_reference, self.modality)
            == (other.series, other.frame_of_reference, other.modality)
            and (self.form.rows, self.form.columns) == (other.form.rows, other.form.columns)
            and np.allclose(self.spacing, other.spacing, rtol=1e-3, atol=0)
            and np.allclose(self.along_row, other.along_row, rtol=0, atol=SAME_DIRECTION)
            and np.allclose(self.along_column, other.along_column, rtol=0, atol=SAME_DIRECTION)
        )


def directions(
    path: Path, orientation: tuple[float, ...], spacing: tuple[float, float]
) -> tuple[Triple, Triple]:
    """Turn ImageOrientationPatient into exactly perpendicular unit vectors.

    Headers round the cosines; the spacing must not inherit that.

    Returns:
        The vectors of increasing column index and of increasing row index, LPS+.

    Raises:
        GeometryError: If they are far from that, or the spacing is impossible.
    """
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    lengths = np.linalg.norm([along_row, along_column], axis=1)
    if np.abs(lengths - 1).max() > SAME_DIRECTION:
        raise GeometryError(f"{path}: ImageOrientationPatient has no unit vectors; export again")
    if abs(np.dot(along_row, along_column)) > SAME_DIRECTION:
        raise GeometryError(f"{path}: rows and columns are not perpendicular; export it again")
    if min(spacing) <= 0:
        raise GeometryError(f"{path}: PixelSpacing {spacing} mm is impossible; export it again")
    along_row = along_row / lengths[0]
    along_column = along_column - np.dot(along_row, along_column) * along_row
    along_column = along_column / np.linalg.norm(along_column)
    return cast(Triple, tuple(along_row.tolist())), cast(Triple, tuple(along_column.tolist()))


def volumes(slices: Sequence[Slice], name: Path) -> list[list[Slice]]:
    """Split slices of one series and direction into volumes, each sorted along the normal.

    There are several where every place was imaged equally often, as with echoes or time points.

    Raises:
        InputError: If some place has more images than another.
    """
    places: list[list[Slice]] = []
    for one in sorted(slices, key=lambda one: one.depth):
        if places and one.depth - places[-1][0].depth < SAME_PLACE_MM:
            places[-1].append(one)
        else:
            places.append([one])
    if max(map(len, places)) == 1:
        return [[place[0] for place in places]]
    repeats = [sorted(one.repeat for one in place) for place in places]
    if len(set(repeats[0])) != len(repeats[0]) or any(one != repeats[0] for one in repeats):
        many = next(place for place in places if len(place) > 1)
        raise InputError(
            f"{name}: duplicate slices: {_names(many)} lie at the same place; remove the copies"
        )
    sorted_places = [sorted(place, key=lambda one: one.repeat) for place in places]
    return [list(volume) for volume in zip(*sorted_places, strict=True)]


def grid(volume: Sequence[Slice], name: Path) -> Geometry:
    """Find the affine of sorted slices; voxel axes are column index, row index, slice.

    Raises:
        GeometryError: If slices are missing, unevenly spaced, shifted or tilted.
    """
    first = volume[0]
    step = _step(volume, name)
    affine_lps = np.eye(4)
    affine_lps[:3, 0] = np.multiply(first.along_row, first.spacing[1])
    affine_lps[:3, 1] = np.multiply(first.along_column, first.spacing[0])
    affine_lps[:3, 2] = step
    affine_lps[:3, 3] = first.position
    try:
        return Geometry.from_lps(affine_lps)
    except GeometryError as fault:
        raise GeometryError(f"{name}: {fault}; its header is damaged, export it again") from None


def _step(volume: Sequence[Slice], name: Path) -> Float[np.ndarray, "3"]:
    """The way from one slice to the next, LPS+ mm."""
    first, last = volume[0], volume[-1]
    if len(volume) == 1:
        if not first.thickness or first.thickness <= 0:
            raise GeometryError(
                f"{name}: is one slice without a thickness; give the folder of the whole series"
            )
        return first.normal * first.thickness
    _check_gaps(volume, name)
    step = np.subtract(last.position, first.position) / (len(volume) - 1)
    _check_line(volume, step, name)
    return step


def _check_gaps(volume: Sequence[Slice], name: Path) -> None:
    gaps = np.diff([one.depth for one in volume])
    spacing = float(np.median(gaps))
    off = np.abs(gaps - spacing)
    worst = int(off.argmax())
    if off[worst] <= max(GAP_TOLERANCE * spacing, ROUNDING_MM):
        return
    missing = round(float(gaps[worst]) / spacing) - 1
    where = f"between {_names(volume[worst : worst + 2])}"
    if missing >= 1 and abs(gaps[worst] - (missing + 1) * spacing) < 0.1 * spacing:
        raise GeometryError(
            f"{name}: {missing} slice{'s are' if missing > 1 else ' is'} missing {where}; "
            "export the series again"
        )
    raise GeometryError(
        f"{name}: slices are unevenly spaced: {gaps[worst]:.3f} mm {where}, {spacing:.3f} mm "
        "elsewhere; resample it to an even grid first"
    )


def _check_line(volume: Sequence[Slice], step: Float[np.ndarray, "3"], name: Path) -> None:
    length = float(np.linalg.norm(step))
    cosine = float(np.clip(np.dot(step, volume[0].normal) / length, -1, 1))
    tilt = float(np.degrees(np.arccos(cosine)))
    if tilt > MAX_TILT_DEG:
        raise GeometryError(
            f"{name}: the slices are tilted by {tilt:.1f} degrees (gantry tilt); convert it to "
            "straight NIfTI first, for example with dcm2niix"
        )
    line = np.array(volume[0].position) + np.outer(np.arange(len(volume)), step)
    off = np.linalg.norm(np.array([one.position for one in volume]) - line, axis=1)
    worst = int(off.argmax())
    if off[worst] > max(GAP_TOLERANCE * length, ROUNDING_MM):
        raise GeometryError(
            f"{name}: slice {volume[worst].path.name} lies {off[worst]:.3f} mm off the line of "
            "the others; resample it to an even grid first"
        )


def _names(slices: Sequence[Slice]) -> str:
    return " and ".join(
        one.path.name if one.instance.frame is None else f"frame {one.instance.frame}"
        for one in slices[:2]
    )
