"""Info: what a file says about itself, and what is wrong with a manifest; never who it is of."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medgen.data.listing import Listing, Problem
from medgen.data.study import Study
from medgen.errors import MedgenError, UsageError
from medgen.io.files import read
from medgen.io.image import MedicalImage
from medgen.modality import FACTS, Kind, Modality
from medgen.tasks.document import to_document
from medgen.tasks.manifest import list_in, read_list
from medgen.tasks.weaving.concept_card import ENDING
from medgen.tasks.weaving.concept_info import ConceptFacts, concept_facts

WARN_MM = 2.0  # a voxel or two: beyond it a network learns the misalignment
PERCENTILES = (0.0, 0.5, 50.0, 99.5, 100.0)


@dataclass(frozen=True)
class ImageFacts:
    """What an image file says about itself.

    Attributes:
        format: `nifti`, `dicom`, or `png`, which stands for JPEG, too.
        kind: `ct`, `mri:t1` and so on; None where the file does not say.
        shape: Voxels along each of its axes.
        spacing_mm: Distance of voxel centres along them; None where unknown.
        orientation: Patient direction of each axis, `RAS`; None for a radiograph.
        size_mm: Field of view along them; None where the spacing is.
        intensity: Minimum, 0.5, 50 and 99.5 percentile and maximum.
        unit: Of the intensity, where the kind is known.
        dtype: Of the voxels in memory.
        sha256: Of what was read.
    """

    format: str
    kind: str | None
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...] | None
    orientation: str | None
    size_mm: tuple[float, ...] | None
    intensity: tuple[float, ...]
    unit: str | None
    dtype: str
    sha256: str


@dataclass(frozen=True)
class PairShift:
    """How far apart the CT and an MRI of one study are, by mutual information.

    Attributes:
        line: Of the manifest.
        study: Its id.
        kind: Of the MRI.
        mm: Mean distance the body must move.
        rotation_degrees: And turn.
        is_far: More than 2 mm: register before training.
    """

    line: int
    study: str
    kind: str
    mm: float
    rotation_degrees: float
    is_far: bool


@dataclass(frozen=True)
class ManifestFacts:
    """What a list of studies says, and what is wrong with it.

    Attributes:
        studies: Number of lines that are right by themselves.
        patients: Number of patients in them.
        kinds: How many images of each kind.
        splits: How many studies are in each split; `none` where it is not said.
        problems: All that is wrong, by line.
        shifts: One for each pair of CT and MRI.
    """

    studies: int
    patients: int
    kinds: dict[str, int]
    splits: dict[str, int]
    problems: tuple[Problem, ...]
    shifts: tuple[PairShift, ...]


@dataclass(frozen=True)
class Info:
    """Facts about one path: an image's, a manifest's or a concept's."""

    path: Path
    image: ImageFacts | None = None
    manifest: ManifestFacts | None = None
    concept: ConceptFacts | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with a list; all else can be read or not."""
        return self.manifest.problems if self.manifest else ()

    def to_json(self, *, indent: int | None = 2) -> str:
        """One JSON document."""
        return to_document(self, indent=indent)


Watch = Callable[[Sequence[int]], Iterable[int]]


def info(
    path: Path,
    *,
    with_shifts: bool = True,
    renaming: Mapping[str, str] | None = None,
    series: str | None = None,
    frame: int | None = None,
    watch: Watch = iter,
) -> Info:
    """Tell what is known of an image, a DICOM folder, a list of studies, or a concept.

    Args:
        path: What to look at; a folder may hold a list of studies.
        with_shifts: Measure how far apart a manifest's CT and MRI are; seconds for each pair.
        renaming: What the columns of a CSV table or datalist are in a manifest.
        series: Of a DICOM folder that holds several.
        frame: Of a 4-D file, from 0.
        watch: Passes line numbers through and may show how far it is.

    Raises:
        InputError: If the image, the list or the concept cannot be read.
        SafetyError: If a concept is a pickle.
        UsageError: If there are no columns to be renamed, or no image to choose a part of.
    """
    is_image = path.suffix != ENDING and not list_in(path)
    if (series is not None or frame is not None) and not is_image:
        raise UsageError(f"--series and --frame are for images, not for {path}; leave them out")
    if file := list_in(path):
        listing = read_list(file, renaming or {})
        return Info(path, manifest=_manifest_facts(listing, with_shifts, watch))
    if renaming and path.exists():
        raise UsageError(f"--map is for .csv and .json lists, not for {path}; leave it out")
    if path.suffix == ENDING:
        return Info(path, concept=concept_facts(path))
    return Info(path, image=_image_facts(read(path, series=series, frame=frame)))


def _image_facts(image: MedicalImage) -> ImageFacts:
    shape = image.voxels.shape
    spacing = image.geometry.spacing[: len(shape)] if image.spacing_is_known else None
    size = [count * mm for count, mm in zip(shape, spacing, strict=True)] if spacing else None
    return ImageFacts(
        format=image.source.format if image.source else "memory",
        kind=str(image.kind) if image.kind else None,
        shape=shape,
        spacing_mm=_rounded(spacing) if spacing else None,
        orientation=image.geometry.orientation if len(shape) == 3 else None,
        size_mm=_rounded(size) if size else None,
        intensity=_rounded(np.percentile(image.voxels, PERCENTILES).tolist()),
        unit=FACTS[image.kind.modality].unit if image.kind else None,
        dtype=str(image.voxels.dtype),
        sha256=image.source.sha256 if image.source else "",
    )


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    """Six digits: a header's float32 has no more."""
    return tuple(float(f"{value:.6g}") for value in values)


def _manifest_facts(listing: Listing, with_shifts: bool, watch: Watch) -> ManifestFacts:
    problems, studies = list(listing.problems), listing.studies
    found: list[PairShift | Problem] = []
    if with_shifts:
        paired = [line for line, study in studies.items() if study.of("ct") and study.of("mri")]
        found = [one for line in watch(paired) for one in _shifts(line, studies[line])]
    problems += [one for one in found if isinstance(one, Problem)]
    return ManifestFacts(
        studies=len(studies),
        patients=len({study.patient for study in studies.values()}),
        kinds=dict(Counter(str(kind) for study in studies.values() for kind in study.images)),
        splits=dict(Counter(str(study.split or "none") for study in studies.values())),
        problems=tuple(sorted(problems, key=lambda problem: problem.line)),
        shifts=tuple(one for one in found if isinstance(one, PairShift)),
    )


def _shifts(line: int, study: Study) -> Iterator[PairShift | Problem]:
    """Every MRI of a study against its CT; what cannot be read is a problem of that line."""
    from medgen.data.register import measure_shift  # SimpleITK takes a while

    try:
        ct = _read_as(study, Kind(Modality.CT))
    except MedgenError as error:
        yield Problem(line, "ct", str(error))
        return
    for kind in study.images:
        if kind.modality is Modality.MRI:
            try:
                shift = measure_shift(ct, _read_as(study, kind))
            except MedgenError as error:
                yield Problem(line, str(kind), str(error))
            else:
                far = shift.mm > WARN_MM
                mm, degrees = _rounded((shift.mm, shift.rotation_degrees))
                yield PairShift(line, study.id, str(kind), mm, degrees, far)


def _read_as(study: Study, kind: Kind) -> MedicalImage:
    """An image of a study, of the kind that the manifest says."""
    return replace(read(study.images[kind]), kind=kind)
