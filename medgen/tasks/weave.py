"""Weave: concepts placed in regions of a scan, whose other voxels stay what they are."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Shaped

from medgen.concepts.masks import shared_out
from medgen.concepts.template import Injection, Template, inverted
from medgen.concepts.weaving import Loom, Pattern, weave_estimates, weave_features
from medgen.data.feather import dilated, feathered
from medgen.diffusion.sampler import Step, last
from medgen.diffusion.schedule import Stops, uniform_stops
from medgen.errors import MedgenError, UsageError
from medgen.io.image import MedicalImage
from medgen.tasks.denormals import flushed_denormals
from medgen.tasks.memory import enough_memory
from medgen.tasks.weaving.bank import look_of
from medgen.tasks.weaving.concept_file import LoadedConcept
from medgen.tasks.weaving.frame import Frame, frame_of
from medgen.tasks.weaving.loom import Workshop
from medgen.tasks.weaving.strength import strength_for, strength_map
from medgen.tasks.weaving.woven import Woven, added, labels_of, measured, steps_of

LOG = logging.getLogger(__name__)
SEEN = 0.9  # share of the regions in the flow's field; less is told
SAME_SCALE = 1.25  # how much coarser or finer a concept may have been learned, untold

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
    match: float = 3.0  # most that a change is made stronger or fainter, to look as the examples do
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
        if not 1 <= self.match < np.inf:
            raise UsageError(f"match is {self.match:g}; choose 1, which leaves changes, or more")
        if self.steps < 2:  # one step goes from pure noise to the scan, and cannot be walked back
            raise UsageError(f"steps is {self.steps}; choose 2 or more")
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
    added to them. So the scan keeps its resolution and its noise. In each region it is added so
    often that the region looks as its concept's examples do, as far as `config.match` allows.

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
    spacing = steps_of(image)
    wide = np.stack([dilated(one, config.dilate, spacing) for one in dense])
    whole = np.logical_or.reduce(wide)
    weight = feathered(whole, config.feather, spacing)
    frame = frame_of(image, modality, shop.loaded, weight > 0)
    _warn_of_the_unseen(frame, whole)
    _warn_of_another_scale(frame, parts)
    remedy = "--device cpu needs no GPU's memory"
    with flushed_denormals(), enough_memory(remedy):
        difference = frame.back(_difference(frame, parts, dense, wide, config, shop, walk))
    labels = labels_of(dense, [part.loaded.card.name for part in parts])
    placed = [
        (part.loaded.card, labels == at)
        for at, part in enumerate(parts, start=1)
        if (labels == at).any()
    ]
    change, normalise = weight * difference, frame.window.normalise
    before, once = (
        normalise(each) for each in (image.voxels, added(image, change, weight > 0, frame.window))
    )
    strengths = [
        strength_for(before, once, region, card.bank, config.match) for card, region in placed
    ]
    reach = config.dilate + config.feather
    change *= strength_map([region for _, region in placed], strengths, reach, spacing)
    voxels = added(image, change, weight > 0, frame.window)
    woven, after = image.with_voxels(voxels, shop.kind), normalise(voxels)
    findings = tuple(
        replace(
            measured(card.name, region, image, woven),
            distance=card.bank.distance(look_of(after, region)),
            strength=round(strength, 4),
        )
        for (card, region), strength in zip(placed, strengths, strict=True)
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


def _warn_of_another_scale(frame: Frame, parts: Sequence[Part]) -> None:
    """Say if a concept was learned of voxels or pixels of another size than the flow sees here."""
    for card in {part.loaded.card for part in parts}:
        if card.spacing is None or frame.scale is None:
            continue
        ratio = frame.scale / card.spacing
        if max(ratio, 1 / ratio) > SAME_SCALE:
            LOG.warning(
                "%s: was learned at %.3g mm and the flow sees this scan at %.3g mm; it may look "
                "%.2g times as large as it should",
                card.name,
                card.spacing,
                frame.scale,
                ratio,
            )


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
        guidance=config.push,
        suppression=config.suppression,
        injection=injection,
    )
    woven = last((walk or WALKS[config.fusion])(loom, pattern, template, stops))
    difference = shop.decode(woven) - shop.decode(clean)
    if not difference.isfinite().all():
        raise MedgenError("the model answered with NaN; nothing was written: lower --guidance")
    return difference
