"""The latents that a flow learns to make, computed once before it is trained."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float16
from torch import Tensor

from medgen.data.masks import mask_files
from medgen.data.standard import StandardConfig, in_cells
from medgen.data.study import Study
from medgen.data.view_cache import cached_mask
from medgen.errors import MedgenError
from medgen.modality import Modality
from medgen.tasks.codecs.images import framed_images, framed_whole, whole_grid
from medgen.tasks.codecs.kept_latents import Encoding
from medgen.tasks.codecs.report import load_report_codec
from medgen.tasks.flows.conditions import Told, told_scan
from medgen.tasks.flows.flow import FlowConfig
from medgen.tasks.flows.model import codec_of
from medgen.tasks.unreadable import Unreadable

LOG = logging.getLogger(__name__)
Latents = dict[str, list[Float16[Tensor, "latent *grid"]]]
"""By a study's id."""


def image_latents(
    model: str | Path,
    flow: FlowConfig,
    studies: Sequence[Study],
    device: torch.device,
    *,
    cache: Path | None = None,
    max_bad: float = 0.05,
) -> Latents:
    """The latents of the images of studies; a study whose images cannot be read is left out.

    Raises:
        ModelError: If the model lacks the flow's codec.
        InputError: If more than that share of the studies cannot be read.
    """
    loaded = codec_of(model, flow, device)
    reading = framed_images(studies, flow.modality, loaded.frame, cache=cache, max_bad=max_bad)
    encoded = Encoding(loaded.codec, device, cache)
    return {name: encoded(images) for name, images in reading}


@dataclass(frozen=True)
class Volumes:
    """The volumes of one study, as a flow learns from them.

    Attributes:
        latents: Half precision.
        scans: How each is scanned.
    """

    latents: list[Float16[Tensor, "latent *grid"]]
    scans: list[Told]


def volume_latents(
    model: str | Path,
    flow: FlowConfig,
    studies: Sequence[Study],
    device: torch.device,
    *,
    max_bad: float = 0.05,
    grid_of: Modality | None = None,
) -> dict[str, Volumes]:
    """The latents of the volumes of studies, by id; a study that cannot be read is left out.

    Args:
        model: With the codec.
        flow: Says the grid and the spacings.
        studies: Some of which have volumes of the flow's modality.
        device: Where to compute.
        max_bad: Share of the studies that may be unreadable.
        grid_of: A study's volumes lie on the grid of its first image of this modality, so that
            they stay registered; each on its own where it has none, or nothing is said.

    Raises:
        ModelError: If the model lacks the flow's codec.
        InputError: If more than that share of the studies cannot be read.
    """
    codec = codec_of(model, flow, device).codec
    frame, encoded = whole_view(flow, codec.stride), Encoding(codec, device)
    found: dict[str, Volumes] = {}
    unreadable = Unreadable(len(studies), max_bad)
    for at, study in enumerate(studies):
        volumes = Volumes([], [])
        try:
            first = study.of(grid_of)[:1] if grid_of else []
            grid = whole_grid(first[0], grid_of, frame) if grid_of and first else None
            for kind, path in study.images.items():
                if kind.modality is flow.modality:
                    whole = framed_whole(path, flow.modality, frame, grid)
                    volumes.latents.extend(encoded([whole.image]))
                    volumes.scans.append(told_scan(whole.spacing, kind.contrast))
        except MedgenError as error:
            unreadable.leave_out(study.id, at + 1, error)
            continue
        found[study.id] = volumes
    return found


def whole_view(flow: FlowConfig, stride: int) -> StandardConfig:
    """What of a volume the latents of a flow show: voxels of a codec with that stride."""
    i, j, k = (cells * stride for cells in flow.grid)
    return StandardConfig(shape=(i, j, k), spacings=flow.spacings)


def cells_found(
    image: Path,
    modality: Modality,
    masks: Path,
    grid: Sequence[int],
    view: StandardConfig,
    cache: Path | None = None,
) -> Float16[Tensor, "*grid"]:
    """1 in the cells of an image's latent in which a finding lies, 0 elsewhere.

    Args:
        image: Its file or folder.
        modality: What it is.
        masks: The folder of its findings' masks.
        grid: Cells of the latent.
        view: What of the image the latent shows.
        cache: Folder that keeps the masks as the view shows them.

    Raises:
        InputError: If a mask cannot be read, or is not on a radiograph's pixels.
    """
    found = torch.zeros(*grid)
    for mask in mask_files(masks, axes=len(grid)).values():
        drawn = torch.from_numpy(cached_mask(mask, image, modality, view, cache))
        pooled = in_cells(drawn.float()[None], grid)[0]
        found = torch.maximum(found, (pooled > 0.5).float())
    return found.half()


@torch.no_grad()
def report_latents(
    model: str | Path, texts: Mapping[str, Sequence[str]], device: torch.device
) -> Latents:
    """The latents of all wordings of reports, by the study's id.

    Raises:
        ModelError: If the model has no codec of text.
    """
    loaded = load_report_codec(model, device)
    longest = loaded.codec.config.max_tokens
    latents: Latents = {}
    cut = 0
    for name, wordings in texts.items():
        tokens = loaded.tokenizer.encode(wordings, max_tokens=longest)
        whole = torch.tensor(tokens.cut) == 0  # half of a report would teach to stop in the middle
        cut += int((~whole).sum())
        if whole.any():
            latents[name] = list(loaded.codec.encode(tokens.ids[whole].to(device)).half().cpu())
    if cut:
        LOG.warning("%d reports have more than %d tokens and are left out", cut, longest)
    return latents
