"""What a path holds: the volumes and radiographs in it, and the one that is meant."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import cast

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalIntraOralXRayImageStorageForPresentation,
    DigitalIntraOralXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MediaStorageDirectoryStorage,
    MRImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from medgen.errors import GeometryError, InputError, UsageError
from medgen.io.dicom.enhanced import GROUP_KEYWORDS, Plane, frame_planes, plane
from medgen.io.dicom.header import IDENTITY_KEYWORDS, Instance, number
from medgen.io.dicom.parse import damage_refused, is_dicom, parse, quoted
from medgen.io.dicom.pixels import PIXEL_KEYWORDS, PixelForm, pixel_form
from medgen.io.dicom.stack import Slice, Triple, directions
from medgen.io.sniff import sniff_file
from medgen.modality import Modality

PLANE_KEYWORDS = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
)
REPEAT_KEYWORDS = ("EchoTime", "TemporalPositionIdentifier", "DiffusionBValue", "AcquisitionNumber")
SCAN_KEYWORDS = (
    *IDENTITY_KEYWORDS,
    *PIXEL_KEYWORDS,
    *PLANE_KEYWORDS,
    *REPEAT_KEYWORDS,
    *GROUP_KEYWORDS,
)
CLASSIC = {CTImageStorage: Modality.CT, MRImageStorage: Modality.MRI}
ENHANCED = {
    EnhancedCTImageStorage: Modality.CT,
    EnhancedMRImageStorage: Modality.MRI,
    LegacyConvertedEnhancedCTImageStorage: Modality.CT,
    LegacyConvertedEnhancedMRImageStorage: Modality.MRI,
}
SECONDARY = {
    SecondaryCaptureImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
}
RADIOGRAPHS = SECONDARY | {
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalIntraOralXRayImageStorageForPresentation,
    DigitalIntraOralXRayImageStorageForProcessing,
}
RADIOGRAPHY = {"", "CR", "DX", "IO", "MG", "OT", "PX", "RG", "SC"}  # of a secondary capture
LOG = logging.getLogger(__name__)
MAX_FILES = 20_000
UID_TAIL = 8  # characters of a UID that are shown, and enough to choose by


class OtherObjectError(InputError):
    """Good DICOM that is no image medgen reads: a report, a plan, a colour capture."""


@dataclass(frozen=True)
class Radiograph:
    """A projection image in a file of its own.

    Attributes:
        path: Its file.
        form: What the file promises about its pixels.
        series: SeriesInstanceUID.
    """

    path: Path
    form: PixelForm
    series: str


@dataclass(frozen=True)
class Stack:
    """Slices that point the same way: a volume, or several of one place.

    Attributes:
        slices: At least one, unsorted.
    """

    slices: tuple[Slice, ...]

    @property
    def series(self) -> str:
        """SeriesInstanceUID."""
        return self.slices[0].series


def find(path: Path, *, series: str | None) -> Stack | Radiograph:
    """Find the volume or radiograph that a path means.

    Where just one of several series is a volume, it is meant; what else is left out is told,
    unless it is a localizer.

    Args:
        path: A DICOM file, or a folder that is searched with all folders inside.
        series: Which one: its number in the list of the error below, or the end of its UID.

    Raises:
        UsageError: If there are several and `series` does not choose one.
        InputError: If there is none, a file is damaged, or one series mixes kinds of slices.
    """
    found = _scan_folder(path) if path.is_dir() else _as_found([_classify(path)])
    if series is not None:
        return _chosen(found, series, path)
    if len(found) == 1:
        return found[0]
    volumes = [one for one in found if _is_volume(one)]
    if len(volumes) != 1:
        _check_unmixed(found, path)
        raise UsageError(
            f"{path}: holds {len(found)} series; name the folder or file of one, or choose with "
            f"--series: {_list(found)}"
        )
    taken = volumes[0]
    _check_unmixed([one for one in found if one.series == taken.series], path)
    if left := [one for one in found if one is not taken and not _is_localizer(one)]:
        LOG.warning(
            "%s: holds one volume, which is read (%s); left out, unless --series chooses it: %s",
            *(path, _list(found, [taken]), _list(found, left)),
        )
    return taken


def _scan_folder(folder: Path) -> list[Stack | Radiograph]:
    """Classify every DICOM image below a folder."""
    read, others = [], []
    for path in _dicom_files(folder):
        try:
            read.append(_classify(path))
        except OtherObjectError as fault:
            others.append(fault)
    if not read:
        raise others[0] if others else InputError(f"{folder}: holds no DICOM files")
    return _as_found(read)


def _dicom_files(folder: Path) -> list[Path]:
    """The DICOM files below a folder, sorted; what only claims to be one is an error.

    So is an empty file beside them, and one without its preamble: of a copy that was broken off,
    the series that is left may look whole.
    """
    files, doubtful = [], []
    for count, path in enumerate(folder.rglob("*")):
        if count > MAX_FILES:
            raise InputError(f"{folder}: has over {MAX_FILES} files; give the folder of one series")
        if path.is_file() and is_dicom(path):
            files.append(path)
        elif path.suffix.lower() in (".dcm", ".ima") and path.is_file():
            raise InputError(f"{path}: is named as DICOM but is not; copy it again or remove it")
        elif path.is_file() and (not path.suffix or path.suffix[1:].isdigit()):
            doubtful.append(path)  # as scanners name slices
    folders = {path.parent for path in files}
    for path in sorted(path for path in doubtful if path.parent in folders):
        if path.name.startswith("."):
            continue
        if not path.stat().st_size:
            raise InputError(f"{path}: is empty; copy it again or remove it")
        if sniff_file(path) == "dicom":
            raise InputError(f"{path}: is DICOM without its preamble; rewrite it with dcmconv")
    return sorted(files)


def _classify(path: Path) -> list[Slice] | Radiograph:
    """Tell what one file is.

    Raises:
        OtherObjectError: If it is good DICOM of another kind.
        InputError: If it is damaged, or a slice that says not where it lies.
    """
    header = parse(path, SCAN_KEYWORDS)
    with damage_refused(path):
        stored = header.file_meta.get("MediaStorageSOPClassUID", "")
        sop_class = UID(str(header.get("SOPClassUID") or stored or "an object of no class"))
        modality = str(header.get("Modality") or "")
    if sop_class in CLASSIC or sop_class in ENHANCED:
        return _slices(path, header, sop_class)
    if sop_class in SECONDARY and modality not in RADIOGRAPHY:
        said = quoted(modality, 4)
        raise OtherObjectError(f"{path}: is a screenshot (secondary capture) of {said}")
    if sop_class in RADIOGRAPHS:
        with damage_refused(path):
            series = str(header.get("SeriesInstanceUID") or "")
        return Radiograph(path, _form(path, header), series)
    if sop_class == MediaStorageDirectoryStorage:
        raise OtherObjectError(f"{path}: is only an index (DICOMDIR); give the folder it lies in")
    raise OtherObjectError(f"{path}: is no CT, MR or radiograph but {quoted(sop_class.name)}")


def _form(path: Path, header: Dataset) -> PixelForm:
    try:
        return pixel_form(path, header)
    except InputError as fault:
        raise OtherObjectError(str(fault)) from None


def _slices(path: Path, header: Dataset, sop_class: UID) -> list[Slice]:
    with damage_refused(path):
        is_grey = str(header.get("PhotometricInterpretation", "MONO")).startswith("MONO")
    form = pixel_form(path, header) if is_grey else _form(path, header)
    modality = (CLASSIC | ENHANCED)[sop_class]
    if sop_class in ENHANCED:
        planes = frame_planes(path, header, form.frames)
    else:
        if form.frames != 1:
            raise InputError(f"{path}: a classic slice with {form.frames} frames; export it again")
        repeat = tuple(number(path, header, word) or 0.0 for word in REPEAT_KEYWORDS)
        planes = [plane(path, [header], repeat)]
    with damage_refused(path):
        is_localizer = "LOCALIZER" in (header.get("ImageType") or "")
        series = str(header.get("SeriesInstanceUID") or "")
        frame_of_reference = str(header.get("FrameOfReferenceUID") or "")
        sop_instance = str(header.get("SOPInstanceUID") or "")
        has_lut = "ModalityLUTSequence" in header and "RescaleSlope" not in header
    if has_lut:
        raise InputError(f"{path}: maps its values by a table (modality LUT), not by a slope")
    return [
        _slice(
            where,
            Slice(
                path=path,
                frame=index,
                instance=Instance(
                    sop_class, sop_instance, index + 1 if sop_class in ENHANCED else None
                ),
                form=form,
                modality=modality,
                series=series,
                frame_of_reference=frame_of_reference,
                position=(0.0, 0.0, 0.0),
                along_row=(1.0, 0.0, 0.0),
                along_column=(0.0, 1.0, 0.0),
                spacing=(1.0, 1.0),
                thickness=where.thickness,
                slope=where.slope,
                intercept=where.intercept,
                repeat=where.repeat,
                is_localizer=is_localizer,
            ),
        )
        for index, where in enumerate(planes)
    ]


def _slice(where: Plane, unplaced: Slice) -> Slice:
    """Put a slice where its plane lies."""
    path = unplaced.path
    if where.position is None or where.orientation is None or where.spacing is None:
        raise GeometryError(
            f"{path}: does not say where it lies (ImagePositionPatient, ImageOrientationPatient, "
            "PixelSpacing); export the original images"
        )
    if where.slope == 0:
        raise InputError(f"{path}: RescaleSlope is 0, so every voxel is equal; export it again")
    spacing = cast(tuple[float, float], where.spacing)
    along_row, along_column = directions(path, where.orientation, spacing)
    return replace(
        unplaced,
        position=cast(Triple, where.position),
        along_row=along_row,
        along_column=along_column,
        spacing=spacing,
    )


def _as_found(read: Sequence[list[Slice] | Radiograph]) -> list[Stack | Radiograph]:
    """Group slices that can be one volume; the order is that of the series' UIDs."""
    groups: list[list[Slice]] = []
    for one in chain.from_iterable(item for item in read if isinstance(item, list)):
        home = next((group for group in groups if group[0].fits(one)), None)
        if home is None:
            groups.append(home := [])
        home.append(one)
    stacks: list[Stack | Radiograph] = [Stack(tuple(group)) for group in groups]
    radiographs = [item for item in read if isinstance(item, Radiograph)]
    return sorted([*stacks, *radiographs], key=lambda one: one.series)


def _is_volume(one: Stack | Radiograph) -> bool:
    return isinstance(one, Stack) and len(one.slices) > 1 and not _is_localizer(one)


def _is_localizer(one: Stack | Radiograph) -> bool:
    return isinstance(one, Stack) and one.slices[0].is_localizer


def _check_unmixed(found: Sequence[Stack | Radiograph], path: Path) -> None:
    """Refuse one series whose slices cannot be one volume and are not several good ones."""
    stacks = [one for one in found if isinstance(one, Stack)]
    lonely = [one for one in stacks if len(one.slices) == 1]
    if len({one.series for one in found}) == 1 and len(stacks) > 1 and lonely:
        raise GeometryError(
            f"{path}: one series mixes slices of different direction, matrix or frame of "
            f"reference, such as {lonely[0].slices[0].path.name}; remove those, or choose with "
            f"--series: {_list(found)}"
        )


def _chosen(found: Sequence[Stack | Radiograph], series: str, path: Path) -> Stack | Radiograph:
    """The one with this number, or whose UID ends like this."""
    if series.isdecimal() and 1 <= int(series) <= len(found):
        return found[int(series) - 1]
    tail = series.strip().lstrip(".…")
    matches = [one for one in found if tail and one.series.endswith(tail)]
    if len(matches) == 1:
        return matches[0]
    _check_unmixed(matches, path)
    fault = "several series" if matches else "no series"
    raise UsageError(f"{path}: {fault} match --series {series[:64]}; there are: {_list(found)}")


def _list(
    found: Sequence[Stack | Radiograph], some: Sequence[Stack | Radiograph] | None = None
) -> str:
    """Number the series, or `some` of them, with nothing that names a patient."""
    numbered = [
        (index, one)
        for index, one in enumerate(found, start=1)
        if some is None or any(one is each for each in some)
    ]
    lines = []
    for index, one in numbered[:20]:
        form = one.slices[0].form if isinstance(one, Stack) else one.form
        count = len(one.slices) if isinstance(one, Stack) else form.frames
        word = one.slices[0].modality.upper() if isinstance(one, Stack) else "X-ray"
        size = f"{count} of {form.columns} x {form.rows}"
        lines.append(f"{index} = {word}, {size}, UID …{quoted(one.series[-UID_TAIL:])}")
    more = [f"and {len(numbered) - 20} more"] if len(numbered) > 20 else []
    return "; ".join([*lines, *more])
