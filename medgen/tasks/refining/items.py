"""What a refiner learns from: patches of images at full resolution, and their halves."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from medgen.diffusion.loss import logit_normal_times
from medgen.diffusion.noise import generator_for
from medgen.instruct.refiner import LOUDEST, Refiner, halved
from medgen.tasks.codecs.images import random_patch
from medgen.tasks.flows.conditions import Told
from medgen.tasks.flows.items import FlowLoss, by_thirds
from medgen.tasks.studies import one_of

QUIET = 0.5  # share of the items whose low-resolution image gets no noise


@dataclass(frozen=True)
class FineStudy:
    """Images of a study at full resolution, half precision, and the words of its report."""

    images: Sequence[Tensor]
    texts: Sequence[str] = ()


@dataclass(frozen=True)
class RefineItem:
    """One thing to learn.

    Attributes:
        image: A patch in [-1, 1].
        seed: Of the noises, which are drawn where the details' size is known.
        time: How far, 0 … 1.
        level: Of the noise that the low-resolution patch gets.
        text: What is told; empty for nothing.
    """

    image: Float[Tensor, "1 *patch"]
    seed: int
    time: float
    level: float
    text: str


@dataclass(frozen=True)
class RefineItems:
    """Item number -> item: a pure function, whatever was asked before."""

    studies: Sequence[FineStudy]
    patch: int
    drop: float
    seed: int

    def __call__(self, number: int) -> RefineItem:
        """A patch of an image of a study in random order."""
        generator = generator_for(self.seed, number)
        study = one_of(self.studies, generator)
        image = random_patch(one_of(study.images, generator), self.patch, generator)
        loud, told = torch.rand(2, generator=generator).tolist()
        level = LOUDEST * max(0.0, loud - QUIET) / (1 - QUIET)
        text = one_of(study.texts, generator) if study.texts and told >= self.drop else ""
        time = float(logit_normal_times(1, generator))
        return RefineItem(image, number, time, level, text)


@dataclass(frozen=True)
class RefineLoss:
    """Refiner and items in, its squared error out; the target is the clean details.

    Source: noise on the low-resolution image, told to the network, is Ho et al. 2022, section 4.2
    (arXiv:2106.15282).
    """

    words: FlowLoss
    seed: int

    def __call__(self, refiner: Refiner, items: Sequence[RefineItem]) -> dict[str, Tensor]:
        """The total, and the error by thirds of the time; 0 where there is none."""
        device = next(refiner.parameters()).device
        image = torch.stack([item.image for item in items]).to(device)
        low, clean = halved(image), refiner.details(image)
        noise, grain = self._drawn(items, clean, low)
        level = torch.tensor([item.level for item in items], device=device)
        time = torch.tensor([item.time for item in items], device=device)
        noisy = refiner.process.at(time).over(clean)(clean, noise)
        given = low + level.view(-1, *[1] * (low.ndim - 1)) * grain
        embedding = placed(self.words.texts([item.text for item in items]), device)
        predicted = refiner(noisy, time, given, level, embedding).float()
        errors = (predicted - clean).square().flatten(1).mean(1)
        return {"total": errors.mean(), **by_thirds(errors.detach(), time)}

    def _drawn(
        self, items: Sequence[RefineItem], clean: Tensor, low: Tensor
    ) -> tuple[Tensor, Tensor]:
        pairs = []
        for item in items:
            generator = generator_for(self.seed, ~item.seed)
            pairs.append(
                [torch.randn(like.shape[1:], generator=generator) for like in (clean, low)]
            )
        noise, grain = (torch.stack(each).to(clean) for each in zip(*pairs, strict=True))
        return noise, grain


def placed(texts: Sequence[Told], device: torch.device) -> Float[Tensor, "batch embedding"]:
    """Where texts lie in the shared space."""
    return torch.cat([one.embedding for one in texts]).float().to(device)
