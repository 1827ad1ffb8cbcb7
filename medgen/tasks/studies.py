"""Studies to align: reports and images of a manifest, read once, and dealt out as items."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from medgen.align.augment import AugmentConfig, augmented, augmented_with
from medgen.data.counterfactuals import Counterfactual, read_counterfactuals
from medgen.data.masks import mask_files
from medgen.data.standard import StandardConfig
from medgen.data.study import Study
from medgen.data.view_cache import cached_mask, cached_view
from medgen.diffusion.noise import generator_for
from medgen.errors import InputError, MedgenError
from medgen.finding import Finding, Presence
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import Phrases
from medgen.modality import FACTS, Modality
from medgen.tasks.fitting.prefetch import made_in_order
from medgen.tasks.unreadable import Unreadable

MAX_TEXT_BYTES = 50_000
IMAGES = (Modality.XRAY, Modality.CT, Modality.MRI)
View = Float[Tensor, "channels *space"]
Masks = Mapping[str, Float[Tensor, "*half"]]
Stack = Float[Tensor, "findings *half"]
Thing = TypeVar("Thing")


@dataclass(frozen=True)
class ReadStudy:
    """A study in memory.

    Attributes:
        id: From the manifest.
        text: The report; None where there is none, or it is empty.
        images: Standard views by modality; several MRIs of one patient are several views.
        group: Studies of one group have reports that say the same is there.
        counterfactuals: Reports of it with one fact changed.
        largest_mm: Of the sizes in the report; None if it measures nothing.
        masks: By modality, for each image the share of each finding, at half the view's
            resolution; nothing for a study that nobody has drawn masks for.
    """

    id: str
    text: str | None
    images: Mapping[Modality, Sequence[View]]
    group: int
    counterfactuals: Sequence[Counterfactual] = ()
    largest_mm: float | None = None
    masks: Mapping[Modality, Sequence[Masks]] = field(default_factory=dict)


@dataclass(frozen=True)
class AlignItem:
    """What one study gives to a batch.

    Attributes:
        text: A report; None where there is none.
        views: By modality, two views of one image, or the same one twice.
        group: As in the study.
        again: Another report of the study; None where there is only one.
        decoys: Reports with one fact changed, that of `text` first.
        masks: By modality, where each finding lies in the first view; only of known studies.
    """

    text: str | None
    views: Mapping[Modality, tuple[View, View]]
    group: int
    again: str | None = None
    decoys: tuple[str, ...] = ()
    masks: Mapping[Modality, Stack] = field(default_factory=dict)


@dataclass(frozen=True)
class AlignItems:
    """Item number -> item: a pure function, whatever was asked before."""

    studies: Sequence[ReadStudy]
    augment: AugmentConfig
    seed: int
    is_pair: bool = True  # two different views of an image, or one
    decoys: int = 1  # at most
    findings: tuple[str, ...] = ()  # whose masks are given

    def __call__(self, number: int) -> AlignItem:
        """A study in random order, with two views of one image of each modality."""
        generator = generator_for(self.seed, number)
        study = one_of(self.studies, generator)
        text, again, decoys = said_of(study, self.decoys, generator)
        views, where = {}, {}
        for modality, images in study.images.items():
            at = int(torch.randint(len(images), (), generator=generator))
            image = images[at].float()
            config = augment_for(modality, self.augment)
            has_masks = bool(self.findings) and modality in study.masks
            drawn = stacked(self.findings, study.masks[modality][at], image) if has_masks else None
            view, moved = augmented_with(image, drawn, generator, config)
            views[modality] = view, augmented(image, generator, config) if self.is_pair else view
            if moved is not None:
                where[modality] = moved
        return AlignItem(text, views, study.group, again, decoys, where)


def said_of(
    study: ReadStudy, decoys: int, generator: Generator
) -> tuple[str | None, str | None, tuple[str, ...]]:
    """A report of a study, another one, and at most so many with one fact changed."""
    if not study.counterfactuals:
        return study.text, None, ()
    order = torch.randperm(len(study.counterfactuals), generator=generator).tolist()
    wrong = tuple(study.counterfactuals[at].changed for at in order[:decoys])
    again = one_of(study.counterfactuals, generator).says
    return study.counterfactuals[order[0]].says, again, wrong


def one_of(things: Sequence[Thing], generator: Generator) -> Thing:
    """Any of them, each as likely."""
    return things[int(torch.randint(len(things), (), generator=generator))]


def augment_for(modality: Modality, config: AugmentConfig) -> AugmentConfig:
    """How views of a modality may differ: the values of a CT, HU, mean something."""
    return replace(config, gamma=0, contrast=0) if modality is Modality.CT else config


def stacked(findings: Sequence[str], masks: Masks, image: View) -> Stack:
    """The masks of these findings, zeros where an image does not show one."""
    half = [size // 2 for size in image.shape[1:]]
    nothing = torch.zeros(half)
    return torch.stack([masks[name].float() if name in masks else nothing for name in findings])


def read_studies(
    studies: Sequence[Study],
    config: StandardConfig,
    phrases: Phrases,
    *,
    modalities: Collection[Modality] = IMAGES,
    max_bad: float = 0.05,
    workers: int = 0,
    cache: Path | None = None,
    has_masks: bool = False,
    least: int = 2,
) -> Iterator[ReadStudy]:
    """Read reports and images; what cannot be read is left out and told once.

    Args:
        studies: From a manifest.
        config: Grids of the standard views.
        phrases: What words mean, to find reports that say the same.
        modalities: Which images to read.
        max_bad: Share of the studies that may have something unreadable.
        workers: Processes that read ahead.
        cache: Folder of the images as they were read before.
        has_masks: Read the masks, too.
        least: How many of text, X-ray, CT and MRI a study must have.

    Yields:
        Studies with so many of them, or with counterfactual reports.
        Images are half precision.

    Raises:
        InputError: If more than that cannot be read.
    """
    groups: dict[frozenset[Finding], int] = {}
    unreadable = Unreadable(len(studies), max_bad)
    read = _Reader(studies, config, tuple(modalities), cache, has_masks)
    ahead = made_in_order(read, range(len(studies)), workers=workers, ahead=4)
    for at, (study, found) in enumerate(zip(studies, ahead, strict=True)):
        if isinstance(found, MedgenError):
            unreadable.leave_out(study.id, at + 1, found)
            continue
        text, arrays, changed, drawn = found
        images = {name: [torch.from_numpy(one) for one in of] for name, of in arrays.items()}
        masks = {
            modality: [{name: torch.from_numpy(one) for name, one in each.items()} for each in of]
            for modality, of in drawn.items()
        }
        if (text is not None) + len(images) < least and not (text and changed):
            continue
        said = frozenset(
            replace(one, course=None)  # which no image shows
            for one in read_findings(text or "", phrases)
            if one.presence is Presence.PRESENT
        )
        # A study without a report is equal to no other.
        group = groups.setdefault(said, len(groups)) if text is not None else -1 - at
        largest = max((one.size_mm for one in said if one.size_mm), default=None)
        yield ReadStudy(study.id, text, images, group, changed, largest, masks)


def read_report(study: Study) -> str | None:
    """The report of a study; None without one, or if it is empty.

    Raises:
        InputError: If it cannot be read, is no UTF-8, or is no report by its length.
    """
    return None if study.text is None else report_in(study.text).strip() or None


def report_in(path: Path) -> str:
    """The report in a text file, as it stands.

    Raises:
        InputError: If it cannot be read, is no UTF-8, or is no report by its length.
    """
    try:
        if (size := path.stat().st_size) > MAX_TEXT_BYTES:
            raise InputError(
                f"{path}: {size} bytes are no report; at most {MAX_TEXT_BYTES} are read"
            )
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8; convert it with iconv") from None


Drawn = dict[Modality, list[dict[str, np.ndarray]]]
Contents = tuple[str | None, dict[Modality, list[np.ndarray]], list[Counterfactual], Drawn]


@dataclass(frozen=True)
class _Reader:
    """Number of a study -> what is in its files, or the error; arrays, which a pipe carries."""

    studies: Sequence[Study]
    config: StandardConfig
    modalities: Collection[Modality]
    cache: Path | None
    has_masks: bool

    def __call__(self, number: int) -> Contents | MedgenError:
        study = self.studies[number]
        try:
            images = {
                modality: [
                    cached_view(path, modality, self.config, self.cache)
                    for path in study.of(modality)
                ]
                for modality in IMAGES
                if modality in self.modalities and study.of(modality)
            }
            changed = read_counterfactuals(study.counterfactuals) if study.counterfactuals else []
            return read_report(study), images, changed, self._masks(study, images)
        except MedgenError as error:
            return error

    def _masks(self, study: Study, images: Collection[Modality]) -> Drawn:
        if not self.has_masks or study.masks is None:
            return {}
        drawn: Drawn = {}
        for modality in images:
            masks = mask_files(study.masks, axes=FACTS[modality].axes)
            drawn[modality] = [
                {
                    name: cached_mask(mask, path, modality, self.config, self.cache)
                    for name, mask in masks.items()
                }
                for path in study.of(modality)
            ]
        return drawn
