"""Multi-frame CT and MR: the functional groups of a file become slices like any others."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.dataset import Dataset

from medgen.errors import InputError
from medgen.io.dicom.header import number, numbers
from medgen.io.dicom.parse import damage_refused

GROUP_KEYWORDS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


@dataclass(frozen=True)
class Plane:
    """Where one frame lies, and what its numbers mean; None where the header does not say.

    Attributes:
        position: ImagePositionPatient, LPS+ mm.
        orientation: ImageOrientationPatient, two unit vectors.
        spacing: PixelSpacing: between rows, between columns, mm.
        thickness: SpacingBetweenSlices or SliceThickness, mm.
        slope: RescaleSlope, 1 where absent.
        intercept: RescaleIntercept, 0 where absent.
        repeat: How many frames before it lie at the same place.
    """

    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    thickness: float | None
    slope: float
    intercept: float
    repeat: tuple[float, ...] = ()


def plane(path: Path, groups: Sequence[Dataset], repeat: tuple[float, ...] = ()) -> Plane:
    """Read one frame's plane.

    Args:
        path: The file, for messages.
        groups: Where to look, first match wins; a classic header is a single one.
        repeat: What tells it from other images of the same place.
    """

    def look(keyword: str, count: int) -> tuple[float, ...] | None:
        found = (numbers(path, group, keyword, count) for group in groups)
        return next((value for value in found if value is not None), None)

    def look_one(keyword: str) -> float | None:
        found = (number(path, group, keyword) for group in groups)
        return next((value for value in found if value is not None), None)

    slope, intercept = look_one("RescaleSlope"), look_one("RescaleIntercept")
    return Plane(
        position=look("ImagePositionPatient", 3),
        orientation=look("ImageOrientationPatient", 6),
        spacing=look("PixelSpacing", 2),
        thickness=look_one("SpacingBetweenSlices") or look_one("SliceThickness"),
        slope=1.0 if slope is None else slope,
        intercept=0.0 if intercept is None else intercept,
        repeat=repeat,
    )


def frame_planes(path: Path, header: Dataset, frames: int) -> list[Plane]:
    """Read the plane of every frame: per-frame groups first, then the shared ones.

    Raises:
        InputError: If the header describes another number of frames than it announces.
    """
    with damage_refused(path):
        shared = _groups(next(iter(header.get("SharedFunctionalGroupsSequence") or []), Dataset()))
        own = [_groups(item) for item in header.get("PerFrameFunctionalGroupsSequence") or []]
    if len(own) != frames:
        raise InputError(
            f"{path}: NumberOfFrames says {frames}, but {len(own)} frames are described; "
            "export it again"
        )
    seen: Counter[tuple[float, ...]] = Counter()
    planes = []
    for groups in own:
        found = plane(path, [*groups, *shared])
        place = tuple(round(one, 3) for one in (found.position or ()) + (found.orientation or ()))
        planes.append(replace(found, repeat=(float(seen[place]),)))
        seen[place] += 1
    return planes


def _groups(item: Dataset) -> list[Dataset]:
    """The single items inside a functional group: plane position, pixel measures and so on."""
    return [element.value[0] for element in item if element.VR == "SQ" and element.value]
