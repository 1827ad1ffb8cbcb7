"""Weave: concepts placed in regions of a scan, whose other voxels stay what they are."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float32, Shaped

from medgen.concepts.masks import shared_out
from medgen.concepts.template import Injection, Template, inverted
from medgen.concepts.weaving import Loom, Pattern, weave_estimates, weave_features
from medgen.data.feather import dilated, feathered
from medgen.diffusion.sampler import Step, last
from medgen.diffusion.schedule import Stops, uniform_stops
from medgen.errors import MedgenError, UsageError
from medgen.io.image import MedicalImage
from medgen.modality import Modality
from medgen.tasks.concept_file import LoadedConcept
from medgen.tasks.denormals import flushed_denormals
from medgen.tasks.memory import enough_memory
from medgen.tasks.weave_bank import Look, look_of, noise_ratio, seam_ratio
from medgen.tasks.weave_frame import Frame, frame_of
from medgen.tasks.weave_loom import Workshop

LOG = logging.getLogger(__name__)
SEEN = 0.9  # share of the regions in the flow's field; less is told

Region = Bool[np.ndarray, "*space"]
Walk = Callable[[Loom, Pattern, Template, Stops], Iterator[Step]]
"""How a template is walked again with a pattern in it."""
WALKS: dict[str, Walk] = {"attention": weave_features, "estimate": weave_estimates}
PUSH = {"attention": 2.5, "estimate": 1.0}  # usual guidance of each way to fuse


@dataclass(frozen=True)
class WeaveConfig:
    """What `medgen weave` is asked to do."""

    fusion: Literal["attention", "estimate"] = "attention"  # where concepts meet
    text: str = ""  # what the scan shows, in words of training; the concepts are not said
    steps: int = 20  # of the sampler
    refinements: int = 3  # of each step of the inversion, beyond the first look
    guidance: float | None = None  # how hard it is pushed; 2.5 for attention, 1 for estimate
    suppression: float = 0.0  # how far features are pushed away from those without concepts
    features: float = 0.8  # share of the steps in which the scan lends residual features
    attention: float = 0.5  # the same of self-attention
    inside: float = 0.0  # of what is lent, the share that regions get, too
    whole: bool = False  # every layer is lent, not only those that hold the layout
    dilate: float = 0.0  # mm that a region may grow; pixels where nobody knows their size
    feather: float = 4.0  # mm over which the change fades around a region; pixels likewise
    force: bool = False  # go on where a region is beside the body
    overwrite: bool = False  # replace results that exist
    model: str = "flows"  # a bundled model's name, or a folder
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        for name in ("features", "attention", "inside"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name):g}; choose 0 to 1")
        for name in ("suppression", "dilate", "feather", "refinements"):
            if not 0 <= getattr(self, name) < np.inf:
                raise UsageError(f"{name} is {getattr(self, name):g}; choose 0 or more")
        if self.steps < 1:
            raise UsageError(f"steps is {self.steps}; choose 1 or more")
        if self.guidance is not None and not 0 <= self.guidance < np.inf:
            raise UsageError(f"guidance is {self.guidance:g}; choose 0 or more")

    @property
    def push(self) -> float:
        """The guidance that is used."""
        return PUSH[self.fusion] if self.guidance is None else self.guidance


@dataclass(frozen=True)
class Part:
    """One concept and where it goes.

    Attributes:
        loaded: The concept.
        region: On the scan's voxels.
    """

    loaded: LoadedConcept
    region: Region


@dataclass(frozen=True)
class Finding:
    """What a woven region looks like.

    Attributes:
        name: The concept's.
        voxels: Of the region.
        volume_ml: The same; None where nobody knows how large a voxel is, or of radiographs.
        area_mm2: Of a radiograph whose pixels have a known size.
        before: What the region looked like; in the unit of the scan.
        after: What it looks like; in the unit of the scan.
        distance: From the concept's examples, in their spreads, by what is measured.
        seam: How steep its border is beside both sides of it; 1 does not show.
        seam_before: The same of the scan as it was.
        noise: Its grain beside that of its surroundings; 1 is the same.
    """

    name: str
    voxels: int
    volume_ml: float | None
    area_mm2: float | None
    before: Look
    after: Look
    distance: dict[str, float]
    seam: float
    seam_before: float
    noise: float


@dataclass(frozen=True)
class Woven:
    """A woven scan.

    Attributes:
        image: On the scan's voxels, in its type.
        changed: The voxels that may differ; all others are the scan's, bit by bit.
        labels: 1 where the first concept is, and so on; 0 elsewhere.
        findings: What each region looks like.
    """

    image: MedicalImage
    changed: Region
    labels: Shaped[np.ndarray, "*space"]
    findings: tuple[Finding, ...]


def weave(
    image: MedicalImage,
    parts: Sequence[Part],
    config: WeaveConfig,
    shop: Workshop,
    *,
    walk: Walk | None = None,
) -> Woven:
    """Place concepts in regions of a scan.

    The flow sees the scan on its own grid; what differs there between the woven latent and the
    scan's, both decoded, is brought back to the scan's voxels, fades around the regions, and is
    added to them. So the scan keeps its resolution and its noise.

    Args:
        image: With its kind.
        parts: At least one; no region is empty.
        config: How.
        shop: A model that knows such scans, and to which the concepts belong.
        walk: Another way to weave than those that the config names.

    Raises:
        MedgenError: If the model answers with NaN.

    Source: Kwon et al. 2024 (arXiv:2404.03913); that only a difference is added is ours.
    """
    modality = shop.kind.modality
    dense = np.stack([part.region for part in parts])
    spacing = _steps(image)
    wide = np.stack([dilated(one, config.dilate, spacing) for one in dense])
    whole = np.logical_or.reduce(wide)
    weight = feathered(whole, config.feather, spacing)
    frame = frame_of(image, modality, shop.loaded, weight > 0)
    _warn_of_the_unseen(frame, whole)
    remedy = "--device cpu needs no GPU's memory"
    with flushed_denormals(), enough_memory(remedy):
        difference = frame.back(_difference(frame, parts, dense, wide, config, shop, walk))
    voxels = _added(image, weight * difference, weight > 0, frame)
    woven = image.with_voxels(voxels, shop.kind)
    shares = shared_out(torch.from_numpy(dense), torch.from_numpy(dense))
    owner = shares.argmax(0).numpy() + 1
    labels = np.where(dense.any(0), owner, 0).astype(np.uint8)
    findings = tuple(
        _finding(part, labels == at, image, woven, frame)
        for at, part in enumerate(parts, start=1)
        if (labels == at).any()
    )
    return Woven(woven, weight > 0, labels, findings)


def _warn_of_the_unseen(frame: Frame, region: Region) -> None:
    """Say if the flow's field is too small for all that is to be woven."""
    if frame.grid is None:
        return
    own, coarse = (
        abs(float(np.linalg.det(one.affine[:3, :3])))
        for one in (frame.image.geometry, frame.grid.geometry)
    )
    seen = float(frame.region(region).sum()) * coarse / (float(region.sum()) * own)
    if seen < SEEN:
        LOG.warning("the flow sees %.0f %% of the regions; the rest stays as it is", 100 * seen)


def _steps(image: MedicalImage) -> tuple[float, ...]:
    """Of the voxels, mm; 1 where nobody knows."""
    return image.geometry.spacing[: image.voxels.ndim]


@torch.no_grad()
def _difference(
    frame: Frame,
    parts: Sequence[Part],
    dense: Shaped[np.ndarray, "parts *space"],
    wide: Shaped[np.ndarray, "parts *space"],
    config: WeaveConfig,
    shop: Workshop,
    walk: Walk | None = None,
) -> torch.Tensor:
    """What weaving changes in what the flow sees, whose range is -1 to 1."""
    shares = shared_out(torch.from_numpy(dense), torch.from_numpy(wide)).numpy()
    seen = torch.cat([frame.region(one) for one in shares[:-1]])
    owned = shop.pooled(seen).squeeze(1).clamp(0, 1)
    owned = torch.cat([owned, (1 - owned.sum(0, keepdim=True)).clamp(min=0)])
    clean = shop.encode(frame.seen)
    source = shop.said(config.text, frame.spacing)
    stops = uniform_stops(config.steps)
    loom = shop.loom
    template = inverted(
        loom.denoise(source), loom.process, clean, stops, refinements=config.refinements
    )
    concepts = [part.loaded.concept.to(shop.loaded.device) for part in parts]
    injection = Injection(config.features, config.attention, config.inside, config.whole)
    pattern = Pattern(
        concepts,
        owned,
        source,
        source,
        guidance=config.push,
        suppression=config.suppression,
        injection=injection,
    )
    woven = last((walk or WALKS[config.fusion])(loom, pattern, template, stops))
    difference = shop.decode(woven) - shop.decode(clean)
    if not difference.isfinite().all():
        raise MedgenError("the model answered with NaN; nothing was written: lower --guidance")
    return difference


def _added(
    image: MedicalImage,
    change: Float32[np.ndarray, "*space"],
    changed: Region,
    frame: Frame,
) -> Shaped[np.ndarray, "*space"]:
    """The scan with a change in some voxels; their type stays, and no value leaves its range."""
    low, high = float(image.voxels.min()), float(image.voxels.max())
    if frame.modality is Modality.CT:
        low, high = min(low, frame.window.low), max(high, frame.window.high)
    values = image.voxels[changed].astype(np.float64) + change[changed]
    values = values.clip(low, high)
    voxels = image.voxels.copy()
    is_whole = np.issubdtype(voxels.dtype, np.integer)
    voxels[changed] = (np.rint(values) if is_whole else values).astype(voxels.dtype)
    return voxels


def _finding(
    part: Part, region: Region, image: MedicalImage, woven: MedicalImage, frame: Frame
) -> Finding:
    before, after = image.voxels, woven.voxels
    normalised = look_of(frame.window.normalise(after), region)
    count = int(region.sum())
    size = float(np.prod(_steps(image))) if image.spacing_is_known else None
    is_flat = region.ndim == 2
    return Finding(
        name=part.loaded.card.name,
        voxels=count,
        volume_ml=None if is_flat or size is None else round(count * size / 1000, 4),
        area_mm2=round(count * size, 2) if is_flat and size is not None else None,
        before=look_of(before, region),
        after=look_of(after, region),
        distance=part.loaded.card.bank.distance(normalised),
        seam=seam_ratio(after, region),
        seam_before=seam_ratio(before, region),
        noise=noise_ratio(after, region),
    )
