"""Studies to align: reports and images of a manifest, read once, and dealt out as items."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from medgen.align.augment import AugmentConfig, augmented
from medgen.data.standard import StandardConfig, standard_view
from medgen.data.study import Study
from medgen.diffusion.noise import generator_for
from medgen.errors import InputError, MedgenError
from medgen.finding import Finding, Presence
from medgen.io import files
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import Phrases
from medgen.modality import Modality

LOG = logging.getLogger(__name__)
MAX_TEXT_BYTES = 50_000
IMAGES = (Modality.XRAY, Modality.CT, Modality.MRI)
View = Float[Tensor, "channels *space"]


@dataclass(frozen=True)
class ReadStudy:
    """A study in memory.

    Attributes:
        id: From the manifest.
        text: The report; None where there is none, or it is empty.
        images: Standard views by modality; several MRIs of one patient are several views.
        group: Studies of one group have reports that say the same is there.
    """

    id: str
    text: str | None
    images: Mapping[Modality, Sequence[View]]
    group: int


@dataclass(frozen=True)
class AlignItem:
    """What one study gives to a batch.

    Attributes:
        text: The report; None where there is none.
        views: By modality, two views of one image, or the same one twice.
        group: As in the study.
    """

    text: str | None
    views: Mapping[Modality, tuple[View, View]]
    group: int


@dataclass(frozen=True)
class AlignItems:
    """Item number -> item: a pure function, whatever was asked before."""

    studies: Sequence[ReadStudy]
    augment: AugmentConfig
    seed: int

    def __call__(self, number: int) -> AlignItem:
        """A study in random order, with two views of one image of each modality."""
        generator = generator_for(self.seed, number)
        study = self.studies[int(torch.randint(len(self.studies), (), generator=generator))]
        views = {}
        for modality, images in study.images.items():
            image = images[int(torch.randint(len(images), (), generator=generator))].float()
            config = self.augment
            if modality is Modality.CT:  # HU mean something
                config = replace(config, gamma=0, contrast=0)
            views[modality] = (
                augmented(image, generator, config),
                augmented(image, generator, config),
            )
        return AlignItem(study.text, views, study.group)


def read_studies(
    studies: Sequence[Study], config: StandardConfig, phrases: Phrases, *, max_bad: float = 0.05
) -> Iterator[ReadStudy]:
    """Read reports and images; what cannot be read is left out and told once.

    Args:
        studies: From a manifest.
        config: Grids of the standard views.
        phrases: What words mean, to find reports that say the same.
        max_bad: Share of the studies that may have something unreadable.

    Yields:
        Studies with at least two of text, X-ray, CT and MRI, as half precision.

    Raises:
        InputError: If more than that cannot be read.
    """
    groups: dict[frozenset[Finding], int] = {}
    bad = 0
    for at, study in enumerate(studies):
        try:
            text = read_report(study)
            images = _images(study, config)
        except MedgenError as error:
            bad += 1
            LOG.warning("%s: left out: %s", study.id, error)
            if bad > max_bad * len(studies):
                raise InputError(
                    f"{bad} of the first {at + 1} studies cannot be read, more than "
                    f"{max_bad:.0%} of all; the last: {error}"
                ) from error
            continue
        if (text is not None) + len(images) < 2:
            continue
        said = frozenset(
            one for one in read_findings(text or "", phrases) if one.presence is Presence.PRESENT
        )
        # A study without a report is equal to no other.
        group = groups.setdefault(said, len(groups)) if text is not None else -1 - at
        yield ReadStudy(study.id, text, images, group)


def read_report(study: Study) -> str | None:
    """The report of a study; None without one, or if it is empty.

    Raises:
        InputError: If it cannot be read, is no UTF-8, or is no report by its length.
    """
    if study.text is None:
        return None
    try:
        data = study.text.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{study.text}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{study.text}: is not UTF-8; convert it with iconv") from None
    if len(data) > MAX_TEXT_BYTES:
        raise InputError(
            f"{study.text}: {len(data)} bytes are no report; at most {MAX_TEXT_BYTES} are read"
        )
    return text.strip() or None


def _images(study: Study, config: StandardConfig) -> dict[Modality, list[View]]:
    found = {}
    for modality in IMAGES:
        if paths := study.of(modality):
            images = (files.read(path) for path in paths)
            found[modality] = [standard_view(image, modality, config).half() for image in images]
    return found
