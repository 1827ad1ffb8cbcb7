"""A manifest's studies as instructions take them: each image in several looks, drawn, and cut."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from medgen.data.counterfactuals import read_counterfactuals
from medgen.data.masks import mask_files
from medgen.data.resample import resample
from medgen.data.standard import StandardConfig
from medgen.data.study import Study
from medgen.data.view_cache import cached_mask
from medgen.diffusion.noise import generator_for
from medgen.errors import MedgenError
from medgen.instruct.appearance import APPEARANCES, PLAIN
from medgen.instruct.outline import drawn_edges, drawn_labels, without_region
from medgen.io import files
from medgen.modality import FACTS, Modality
from medgen.tasks.codecs.images import framed, grid_of_whole, on_grid
from medgen.tasks.codecs.kept_latents import Encoding
from medgen.tasks.codecs.model import LoadedCodec
from medgen.tasks.flows.conditions import Told, told_scan
from medgen.tasks.flows.flow import FlowConfig
from medgen.tasks.flows.latents import whole_view
from medgen.tasks.studies import read_report
from medgen.tasks.unreadable import Unreadable

OTHERS = tuple(name for name in APPEARANCES if name != PLAIN)
LEAST = 0.002  # of the image: a finding that is smaller is not drawn, and not edited


@dataclass(frozen=True)
class Edit:
    """An image of which a region is taken out, and the region; latents, half precision."""

    without: Tensor
    region: Tensor


@dataclass(frozen=True)
class InstructStudy:
    """One image as instructions speak of it; latents, half precision.

    Attributes:
        id: Of the study.
        patient: Whose it is.
        texts: Reports that all say what is there.
        looks: The image by the name of its look; `plain` is as it was read.
        anatomy: Its edges, and, where its findings are drawn, their label map.
        edits: One for each finding that is drawn.
        scan: How it is scanned; None for a radiograph.
    """

    id: str
    patient: str
    texts: tuple[str, ...]
    looks: Mapping[str, Tensor]
    anatomy: tuple[Tensor, ...]
    edits: tuple[Edit, ...] = ()
    scan: Told | None = None


@dataclass(frozen=True)
class Frames:
    """How studies are brought onto a flow's grid.

    Attributes:
        modality: Of the flow.
        codec: Of its latents.
        flow: Its shape.
        findings: Names of the labels 1, 2, … of label maps.
        looks: In how many looks each image is kept, besides its own.
        seed: Says which.
        cache: Folder of the images as they were read before, and of their latents.
        device: Where the codec is.
    """

    modality: Modality
    codec: LoadedCodec
    flow: FlowConfig
    findings: tuple[str, ...]
    looks: int = 1
    seed: int = 0
    cache: Path | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @cached_property
    def latents(self) -> Encoding:
        """Makes latents of images."""
        return Encoding(self.codec.codec, self.device, self.cache)


def known_findings(studies: Sequence[Study], axes: int) -> tuple[str, ...]:
    """Names of all findings that somebody has drawn."""
    found = {
        name for study in studies if study.masks for name in mask_files(study.masks, axes=axes)
    }
    return tuple(sorted(found))


def instruct_studies(
    studies: Sequence[Study], frames: Frames, *, max_bad: float = 0.05
) -> list[InstructStudy]:
    """Read studies; one that cannot be read is left out and told.

    Args:
        studies: Each with an image of the flow's modality.
        frames: How they are brought onto its grid.
        max_bad: Share of the studies that may be unreadable.

    Raises:
        InputError: If more than that cannot be read.
    """
    unreadable = Unreadable(len(studies), max_bad)
    found: list[InstructStudy] = []
    for at, study in enumerate(studies):
        try:
            said = wordings(study)
            found += [
                _made(study, path, frames, said, number)
                for number, path in enumerate(study.of(frames.modality))
            ]
        except MedgenError as error:
            unreadable.leave_out(study.id, at + 1, error)
    return found


def wordings(study: Study) -> tuple[str, ...]:
    """All reports of a study that say what is there."""
    changed = read_counterfactuals(study.counterfactuals) if study.counterfactuals else ()
    said = [*filter(None, [read_report(study)]), *(pair.says for pair in changed)]
    return tuple(dict.fromkeys(said))


def _made(
    study: Study, path: Path, frames: Frames, texts: tuple[str, ...], number: int
) -> InstructStudy:
    image, masks, scan = (_flat if FACTS[frames.modality].axes == 2 else _deep)(study, path, frames)
    names = [PLAIN, *_looks_of(study.id, frames)]
    generator = generator_for(frames.seed, _number_of(f"{study.id}/{number}"))
    looks = [APPEARANCES[name](image, generator) if name != PLAIN else image for name in names]
    labels = torch.zeros(image.shape[1:], dtype=torch.long)
    regions = []
    for place, name in enumerate(frames.findings, start=1):
        if name in masks and float(masks[name].float().mean()) > LEAST:
            labels[masks[name]] = place
            regions.append(masks[name])
    drawn = [drawn_edges(image)]
    if regions:
        drawn.append(drawn_labels(labels, len(frames.findings)))
    cut = [without_region(image, region) for region in regions]
    latents = frames.latents([*looks, *drawn, *cut, *map(as_mask, regions)])
    first, second, third = len(looks), len(looks) + len(drawn), len(latents) - len(cut)
    edits = zip(latents[second:third], latents[third:], strict=True)
    return InstructStudy(
        study.id,
        study.patient,
        texts,
        dict(zip(names, latents[:first], strict=True)),
        tuple(latents[first:second]),
        tuple(Edit(*pair) for pair in edits),
        scan,
    )


def as_mask(region: Bool[Tensor, "*space"]) -> Float[Tensor, "1 *space"]:
    """A mask as a picture, white on black."""
    return (2 * region.float() - 1)[None]


def _looks_of(name: str, frames: Frames) -> list[str]:
    order = torch.randperm(len(OTHERS), generator=generator_for(frames.seed, _number_of(name)))
    return [OTHERS[at] for at in order[: frames.looks].tolist()]


def _number_of(name: str) -> int:
    digest = hashlib.blake2b(name.encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little")


Masks = dict[str, Bool[Tensor, "*space"]]


def _flat(
    study: Study, path: Path, frames: Frames
) -> tuple[Float[Tensor, "1 side side"], Masks, None]:
    frame = frames.codec.frame
    image = framed(path, frames.modality, frame, frames.cache).float()
    view = StandardConfig(side=frame.side)
    masks: Masks = {}
    for name, mask in (mask_files(study.masks, axes=2) if study.masks else {}).items():
        half = torch.from_numpy(cached_mask(mask, path, frames.modality, view, frames.cache))
        whole = F.interpolate(half.float()[None, None], image.shape[1:], mode="nearest")[0, 0]
        masks[name] = whole > 0.5
    return image, masks, None


def _deep(study: Study, path: Path, frames: Frames) -> tuple[Float[Tensor, "1 i j k"], Masks, Told]:
    frame = whole_view(frames.flow, frames.codec.codec.stride)
    volume = files.read(path)
    grid = grid_of_whole(volume, frames.modality, frame)
    masks: Masks = {}
    for name, file in (mask_files(study.masks, axes=3) if study.masks else {}).items():
        mask = files.read(file, is_mask=True)
        there = (mask.voxels != 0).astype(np.float32)
        share = resample(there, mask.geometry, grid, fill=0.0)
        masks[name] = torch.from_numpy(share > 0.5)
    (kind,) = [kind for kind, one in study.images.items() if one == path][:1]
    scan = told_scan(grid.geometry.spacing[0], kind.contrast)
    return on_grid(volume, frames.modality, grid).float(), masks, scan
