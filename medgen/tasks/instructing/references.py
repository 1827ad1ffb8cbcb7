"""The references of an instruction: files in, pictures on a flow's grid out."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from medgen.data.resample import Grid, resample
from medgen.data.standard import (
    StandardConfig,
    radiograph_view,
    standard_grid,
    standard_mask,
)
from medgen.errors import InputError, UsageError
from medgen.instruct.instruction import Instruction, Reference, Role
from medgen.instruct.outline import drawn_edges, drawn_labels, without_region
from medgen.instruct.wording import worded
from medgen.io import files
from medgen.io.image import MedicalImage
from medgen.modality import Modality
from medgen.tasks.codecs.images import on_grid
from medgen.tasks.given import Given
from medgen.tasks.instructing.studies import as_mask
from medgen.tasks.preflight import can_be_ct, check_same_place, looks_like_ct, with_kind
from medgen.tasks.radiograph import radiograph_of

LOG = logging.getLogger(__name__)
MOST_LABELS = 64  # an image with more values is no label map
EDGES = re.compile(r"\bedges?\b", re.IGNORECASE)  # in the caption of what is drawn already
PLACED = (Role.ANATOMY, Role.REGION, Role.SUBJECT)  # say where things are; the first leads


@dataclass(frozen=True)
class Pointed:
    """A reference as it was read.

    Attributes:
        number: Of its mark.
        role: What is taken from it.
        caption: What it shows, in words.
        image: The file; of a scan, with its kind.
    """

    number: int
    role: Role
    caption: str
    image: MedicalImage

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.image.source.path) if self.image.source else f"reference {self.number}"


def read_references(instruction: Instruction) -> list[Pointed]:
    """Read the files of an instruction.

    Raises:
        InputError: If one cannot be read, or is not what it is said to be.
        UsageError: If a kind is none.
    """
    pointed = []
    roles = worded(instruction).roles
    for one, role in zip(instruction.references, roles, strict=True):
        given = Given.parse(one.file)
        image = files.read(given.path, is_mask=role is Role.REGION)
        if given.kind is not None:
            if image.kind is not None and image.kind.modality is not given.kind.modality:
                raise UsageError(f"--ref {one}: the file says that it is {image.kind}")
            image = replace(image, kind=given.kind)
            _check_numbers(image, one)
        elif role not in (Role.ANATOMY, Role.REGION):
            _warn_of_labels(image, one, role)
            if image.voxels.ndim == 3:
                image = with_kind(image, None)
        if image.kind is not None and image.kind.view:
            raise UsageError(f"--ref {one}: no model reads a radiograph from the side")
        if role is Role.REGION and len(np.unique(image.voxels)) > MOST_LABELS:
            LOG.warning("--ref %s: has many different numbers; all but 0 are the region", one)
        pointed.append(Pointed(one.number, role, one.caption, image))
    return pointed


def _check_numbers(image: MedicalImage, one: Reference) -> None:
    """Raises InputError for a volume whose numbers cannot be what it is said to be."""
    if image.voxels.ndim != 3 or image.kind is None:
        return
    if image.kind.modality is Modality.CT and not can_be_ct(image):
        raise InputError(
            f"--ref {one}: is given as CT but holds no HU (no air, no fat); say mri:t1=FILE"
        )
    if image.kind.modality is Modality.MRI and looks_like_ct(image):
        raise InputError(f"--ref {one}: is given as MRI but holds HU (air near -1000); say ct=FILE")


def _warn_of_labels(image: MedicalImage, one: Reference, role: Role) -> None:
    """Say if what is taken as a scan looks like a mask."""
    if is_label_map(image.voxels):
        word = f"{one.number}={one.file}"
        LOG.warning(
            "--ref %s: has %d different numbers, as masks and label maps have, and is taken as a "
            "scan (%s); say %s:region or %s:anatomy, or %d=KIND=%s if it is one",
            *(one, len(np.unique(image.voxels)), role, word, word, one.number, one.file),
        )


def flat_pictures(
    references: Sequence[Pointed], side: int, findings: Sequence[str]
) -> list[Float[Tensor, "1 side side"]]:
    """References of a radiograph, in [-1, 1]; of a CT, its projection.

    What lies in a region is made anew: the subject is shown without it, as in training.

    Args:
        references: In their order.
        side: Pixels of the codec's frame.
        findings: Names of the labels 1, 2, … that the reader knows.

    Raises:
        InputError: If a label map has unknown labels.
        UsageError: If a volume is given for what only a picture can say.
    """
    pictures = [_flat(one, side, findings) for one in references]
    return _without_regions(references, pictures, [None] * len(pictures))


def _flat(one: Pointed, side: int, findings: Sequence[str]) -> Float[Tensor, "1 side side"]:
    image = one.image
    if image.voxels.ndim == 3:
        if one.role in (Role.ANATOMY, Role.REGION) or image.kind is None:
            raise UsageError(f"{one.name}: has 3 axes; {one.role} of a radiograph is a picture")
        if image.kind.modality is not Modality.CT:
            raise UsageError(
                f"{one.name}: an MRI says nothing of a radiograph; make a CT of it first: "
                "medgen translate --to ct"
            )
        image = radiograph_of(image, "pa")
    view = StandardConfig(side=side)
    if one.role is Role.REGION:
        return as_mask(_squared_mask(image.voxels != 0, image, view))
    if one.role is Role.ANATOMY and is_label_map(image.voxels):
        labels = known_labels(one, findings)
        drawn = torch.zeros(side, side, dtype=torch.long)
        for label in sorted(set(np.unique(labels).tolist()) - {0}):
            drawn[_squared_mask(labels == label, image, view)] = int(label)
        return drawn_labels(drawn, len(findings))
    picture = radiograph_view(image.voxels, side)
    return _edges(one, picture) if one.role is Role.ANATOMY else picture


def _squared_mask(
    there: Bool[np.ndarray, "rows columns"], image: MedicalImage, view: StandardConfig
) -> Bool[Tensor, "side side"]:
    """A mask as training has it: at half the resolution, and enlarged."""
    mask = replace(image, voxels=there.astype(np.uint8), is_mask=True)
    half = standard_mask(mask, image, Modality.XRAY, view)[None, None]
    return F.interpolate(half.float(), (view.side, view.side), mode="nearest")[0, 0] > 0.5


def deep_pictures(
    references: Sequence[Pointed],
    shape: tuple[int, int, int],
    spacing: float,
    findings: Sequence[str],
) -> list[Float[Tensor, "1 i j k"]]:
    """References of a volume, in [-1, 1], on grids of its shape.

    What says where things are lies on one grid: that of the anatomy, else of the region, else of
    the subject. All else lies on its own. The subject is shown without what lies in a region.

    Args:
        references: In their order.
        shape: Voxels of the flow's volumes.
        spacing: Of their voxels, mm.
        findings: Names of the labels 1, 2, … that the reader knows.

    Raises:
        InputError: If a label map has unknown labels, or anatomy or region lies elsewhere.
        UsageError: If a radiograph is given.
    """
    frame = StandardConfig(shape=shape, spacings=(spacing,))
    for one in references:
        if one.image.voxels.ndim != 3:
            raise UsageError(
                f"{one.name}: is a radiograph; a volume follows it with --from xray=FILE"
            )
    leading = [one for role in PLACED for one in references if one.role is role][:1]
    grids = []
    for one in references:
        grid = _grid(one, frame)
        if leading and one.role in PLACED and one is not leading[0]:
            grid = _led(one, leading[0], grid, _grid(leading[0], frame))
        grids.append(grid)
    pictures = [_deep(*each, findings) for each in zip(references, grids, strict=True)]
    return _without_regions(references, pictures, grids)


def _without_regions(
    references: Sequence[Pointed],
    pictures: Sequence[Float[Tensor, "1 *space"]],
    grids: Sequence[Grid | None],
) -> list[Float[Tensor, "1 *space"]]:
    """The pictures; of subjects, without what lies in a region on the same grid."""
    shown = list(pictures)
    for at, one in enumerate(references):
        for region, other in enumerate(references):
            if (one.role, other.role) == (Role.SUBJECT, Role.REGION) and _is_one(
                grids[at], grids[region]
            ):
                shown[at] = without_region(shown[at], pictures[region][0] > 0)
    return shown


def _is_one(one: Grid | None, other: Grid | None) -> bool:
    """Whether two grids are the same; those of radiographs are."""
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and np.allclose(
        one.geometry.affine, other.geometry.affine, atol=1e-3
    )


def _grid(one: Pointed, frame: StandardConfig) -> Grid:
    return standard_grid(one.image, frame, one.image.voxels != 0)  # one spacing: none to choose


def _led(one: Pointed, leader: Pointed, own: Grid, grid: Grid) -> Grid:
    """The leader's grid, where a reference lies there; of a subject elsewhere, its own."""
    first, other = leader.image, one.image
    if _is_one(*(Grid(each.voxels.shape, each.geometry) for each in (first, other))):
        return grid
    try:
        check_same_place(first, other)
    except InputError:
        if one.role is not Role.SUBJECT:
            raise
        LOG.warning("%s: lies elsewhere than %s; taken as it is", one.name, leader.name)
        return own
    LOG.warning("%s: lies on another grid than %s; resampled onto it", one.name, leader.name)
    return grid


def _deep(one: Pointed, grid: Grid, findings: Sequence[str]) -> Float[Tensor, "1 i j k"]:
    image = one.image
    if one.role is Role.REGION:
        return as_mask(_resampled(image.voxels != 0, image, grid))
    if one.role is Role.ANATOMY and image.kind is None and is_label_map(image.voxels):
        labels = known_labels(one, findings)
        drawn = torch.zeros(grid.shape, dtype=torch.long)
        for label in sorted(set(np.unique(labels).tolist()) - {0}):
            drawn[_resampled(labels == label, image, grid)] = int(label)
        return drawn_labels(drawn, len(findings))
    scan = image if image.kind else with_kind(image, None)
    modality = scan.kind.modality if scan.kind else Modality.MRI
    picture = on_grid(scan, modality, grid).float()
    return _edges(one, picture) if one.role is Role.ANATOMY else picture


def _resampled(
    there: Bool[np.ndarray, "i j k"], image: MedicalImage, grid: Grid
) -> Bool[Tensor, "x y z"]:
    share = resample(there.astype(np.float32), image.geometry, grid, fill=0.0)
    return torch.from_numpy(share > 0.5)


def _edges(one: Pointed, picture: Float[Tensor, "1 *space"]) -> Float[Tensor, "1 *space"]:
    """The edges of a picture; one whose caption says that it is edges stays as it is."""
    return picture if EDGES.search(one.caption) else drawn_edges(picture)


def is_label_map(voxels: Shaped[np.ndarray, "*space"]) -> bool:
    """Whether an image has few values, all of them whole and none negative."""
    some = voxels.ravel()[:: max(1, voxels.size // 1_000_000)]
    values = np.unique(some)
    is_whole = bool((values == np.round(values)).all() and values[0] >= 0)
    return is_whole and len(values) <= MOST_LABELS


def known_labels(one: Pointed, findings: Sequence[str]) -> Int[np.ndarray, "*space"]:
    """The labels of a label map.

    Raises:
        InputError: If some are unknown; they are listed.
    """
    labels = np.round(one.image.voxels).astype(np.int64)
    unknown = sorted(set(np.unique(labels).tolist()) - set(range(len(findings) + 1)))
    if unknown:
        known = ", ".join(f"{at} {name}" for at, name in enumerate(findings, start=1))
        listed = ", ".join(map(str, unknown[:10])) + (", …" if len(unknown) > 10 else "")
        raise InputError(
            f"{one.name}: labels {listed} are unknown; this model knows {known or 'none'}"
        )
    return labels
