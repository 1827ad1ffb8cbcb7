"""Cells: the features of each image are computed once, and what reads them sees them often.

Moving a volume and convolving it costs far more than the transformer that reads the result. The
convolutions learn what findings look like from patches; to tell a whole image takes the transformer
many more batches, and larger ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float16
from torch import Tensor

from medgen.align.aligner import Aligner
from medgen.align.augment import AugmentConfig, augmented
from medgen.diffusion.noise import generator_for
from medgen.encoders.image import ImageEncoder
from medgen.modality import Modality
from medgen.tasks.studies import AlignItem, ReadStudy, augment_for, one_of, said_of

BATCH = 8  # views whose features are computed at a time

Cells = Mapping[Modality, Float16[Tensor, "views channels *grid"]]
"""The coarsest features of some views of a study's images, on the CPU."""


def cells_of(
    aligner: Aligner,
    studies: Sequence[ReadStudy],
    modalities: Sequence[Modality],
    views: int,
    augment: AugmentConfig,
    seed: int,
) -> list[Cells]:
    """The features of so many views of each image; the same seed gives the same ones.

    Args:
        aligner: Its encoders of images make them.
        studies: Whose images.
        modalities: Which of them.
        views: Of each image; the first is the image itself.
        augment: How the others differ.
        seed: Of all of them.
    """
    kept: list[dict[Modality, list[Tensor]]] = [{} for _ in studies]
    for name in modalities:
        encoder = aligner.encoders[name]
        assert isinstance(encoder, ImageEncoder)
        config = augment_for(name, augment)
        waiting: list[tuple[int, Tensor]] = []
        for at, view in _views(studies, name, views, config, seed):
            waiting.append((at, view))
            if len(waiting) == BATCH:
                _keep(encoder, name, waiting, kept)
        _keep(encoder, name, waiting, kept)
    return [{name: torch.stack(of) for name, of in each.items()} for each in kept]


def _views(
    studies: Sequence[ReadStudy], name: Modality, views: int, config: AugmentConfig, seed: int
) -> Iterator[tuple[int, Tensor]]:
    """The number of each study, and views of its images."""
    for at, study in enumerate(studies):
        generator = generator_for(seed, at)
        for image in study.images.get(name, []):
            yield at, image.float()
            for _ in range(1, views):
                yield at, augmented(image.float(), generator, config)


def _keep(
    encoder: ImageEncoder,
    name: Modality,
    waiting: list[tuple[int, Tensor]],
    kept: Sequence[dict[Modality, list[Tensor]]],
) -> None:
    """Add the features of those that wait to those of their studies; nothing waits any longer."""
    if not waiting:
        return
    device = next(encoder.parameters()).device
    with torch.no_grad():
        batch = torch.stack([view for _, view in waiting]).to(device)
        coarsest = encoder.features(batch)[-1].half().cpu()
    for (at, _), cells in zip(waiting, coarsest, strict=True):
        kept[at].setdefault(name, []).append(cells)
    waiting.clear()


@dataclass(frozen=True)
class CellItems:
    """Item number -> item, whose views are features: a pure function, whatever was asked before."""

    studies: Sequence[ReadStudy]
    cells: Sequence[Cells]
    seed: int
    is_pair: bool = True  # two different views of a study, or one
    decoys: int = 1  # at most

    def __call__(self, number: int) -> AlignItem:
        """A study in random order, with features of one or two of its views."""
        generator = generator_for(self.seed, number)
        at = int(torch.randint(len(self.studies), (), generator=generator))
        study, views = self.studies[at], {}
        text, again, decoys = said_of(study, self.decoys, generator)
        for name, cells in self.cells[at].items():
            one = one_of(list(cells), generator)
            other = one_of(list(cells), generator) if self.is_pair else one
            views[name] = one.float(), other.float()
        return AlignItem(text, views, study.group, again, decoys)
