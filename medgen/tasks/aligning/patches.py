"""Patches: an encoder sees a hundred lesions in the time of a few whole images.

Neighbouring voxels of one lesion say the same, so a batch of a few images is a batch of a few
lesions, and its gradient mostly chance. Patches of many patients around what is rare teach the
convolutions first; the reports come after, with whole images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from medgen.align.aligner import Aligner
from medgen.align.augment import AugmentConfig, augmented_with
from medgen.align.grounding import PRESENT, grounding_loss
from medgen.diffusion.noise import generator_for
from medgen.modality import Modality
from medgen.tasks.patches import Patch, patch_from
from medgen.tasks.studies import (
    Masks,
    ReadStudy,
    View,
    augment_for,
    one_of,
)

FOCUSED = 0.6  # share of the patches that hold a finding, every finding as often


class _Drawn(NamedTuple):
    """An image with its masks."""

    image: View
    masks: Masks


@dataclass(frozen=True)
class PatchItems:
    """Item number -> a patch of each modality: a pure function, whatever was asked before.

    Attributes:
        studies: Some of them with masks, for every modality.
        modalities: Of images.
        findings: Whose masks are given.
        side: Pixels or voxels; divides by the encoders' stride.
        augment: How patches differ.
        seed: Of all numbers.
    """

    studies: Sequence[ReadStudy]
    modalities: tuple[Modality, ...]
    findings: tuple[str, ...]
    side: int
    augment: AugmentConfig
    seed: int

    def __call__(self, number: int) -> dict[Modality, Patch]:
        """A patch around a finding, or from anywhere."""
        generator = generator_for(self.seed, number)
        return {modality: self._patch(modality, generator) for modality in self.modalities}

    def _patch(self, modality: Modality, generator: Generator) -> Patch:
        images = self._drawn[modality]
        of_finding = self._of_finding[modality]
        if of_finding and torch.rand((), generator=generator) < FOCUSED:
            name = one_of(list(of_finding), generator)
            image, masks = images[one_of(of_finding[name], generator)]
            place = one_of(list((masks[name] > PRESENT).nonzero()), generator)
        else:
            image, masks = one_of(images, generator)
            space = torch.tensor(image.shape[1:]) // 2
            place = (torch.rand(len(space), generator=generator) * space).long()
        half = self.side // 2
        before = (torch.rand(len(place), generator=generator) * half).long()
        part, there = patch_from(image, masks, self.findings, place - before, half)
        config = replace(augment_for(modality, self.augment), shift=0, erase=0)
        view, moved = augmented_with(part, there, generator, config)
        assert moved is not None
        return Patch(view, moved)

    @cached_property
    def _drawn(self) -> dict[Modality, list[_Drawn]]:
        """The images that have masks."""
        return {
            modality: [
                _Drawn(image, masks)
                for study in self.studies
                if modality in study.masks
                for image, masks in zip(study.images[modality], study.masks[modality], strict=True)
            ]
            for modality in self.modalities
        }

    @cached_property
    def _of_finding(self) -> dict[Modality, dict[str, list[int]]]:
        """By finding, which of these images show it."""
        return {
            modality: {
                name: shown
                for name in self.findings
                if (
                    shown := [
                        at
                        for at, (_, masks) in enumerate(images)
                        if name in masks and bool((masks[name] > PRESENT).any())
                    ]
                )
            }
            for modality, images in self._drawn.items()
        }


class PatchLoss:
    """Aligner and patches in, the grounding loss of each modality out, and their `total`."""

    def __call__(
        self, aligner: Aligner, items: Sequence[dict[Modality, Patch]]
    ) -> dict[str, Tensor]:
        """The convolutions and the heads on them learn; the rest has no part in it."""
        device = aligner.temperature.log_scale.device
        losses = {}
        for name in items[0]:
            views = torch.stack([item[name].view for item in items]).to(device)
            masks = torch.stack([item[name].masks for item in items]).to(device)
            found = aligner.find(name, views)
            known = torch.ones(len(items), dtype=torch.bool, device=device)
            losses[f"grounding-{name}"] = grounding_loss(found, masks, known)
        total = torch.stack(list(losses.values())).sum()
        return {"total": total, **{name: loss.detach() for name, loss in losses.items()}}
