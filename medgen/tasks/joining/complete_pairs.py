"""Images that a round needs and a study lacks, made of those that it has."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medgen.data.study import Study
from medgen.errors import MedgenError
from medgen.modality import Contrast, Kind, Modality
from medgen.tasks.batch import Item
from medgen.tasks.translate import TranslateConfig
from medgen.tasks.translate_files import output_of, translate_item

LOG = logging.getLogger(__name__)
CT, XRAY = Kind(Modality.CT), Kind(Modality.XRAY)
MRI = Kind(Modality.MRI, Contrast.T1)  # what a missing MRI becomes
SOURCES = {XRAY: Modality.CT, CT: Modality.MRI, MRI: Modality.CT}
"""Of what each kind is made: a radiograph by projection, the others by the local translator."""


@dataclass(frozen=True)
class Completed:
    """Studies, some with images that were made.

    Attributes:
        studies: All that were given, in their order.
        made: How many studies got an image, by its kind.
    """

    studies: list[Study]
    made: dict[str, int]


def complete_pairs(
    studies: Sequence[Study],
    pair: Sequence[Modality],
    folder: Path,
    *,
    translator: str,
    device: str,
) -> Completed:
    """Make what studies lack of a round's modalities; what is there already is not made again.

    A report cannot be made so, and a study of which nothing can be made stays as it is.

    Args:
        studies: Some of which lack an image.
        pair: What the round needs.
        folder: Gets the images, each with its sidecar; never beside the user's data.
        translator: The model that makes CT of MRI, and MRI of CT.
        device: Where it computes.

    Source: pairs that are missing were made by the authors of MedM2G, too (Zhan et al. 2024,
    section 3.4, arXiv:2403.04290).
    """
    completed, made = [], dict.fromkeys(map(str, SOURCES), 0)
    for study in studies:
        for kind, given in can_be_made(study, pair):
            config = TranslateConfig(
                to=str(kind), source=str(given), model=translator, device=device, force=True
            )
            path = _made(Item(study.id, study.images[given]), config, folder / study.id)
            if path is not None:
                study = replace(study, images=study.images | {kind: path})
                made[str(kind)] += 1
        completed.append(study)
    return Completed(completed, {kind: count for kind, count in made.items() if count})


def can_be_made(study: Study, pair: Sequence[Modality]) -> list[tuple[Kind, Kind]]:
    """What is all that a study lacks of a round's modalities, with the image it is made of."""
    return [
        (kind, given)
        for kind, source in SOURCES.items()
        if [one for one in pair if not study.has(one)] == [kind.modality]
        for given in [one for one in study.images if one.modality is source][:1]
    ]


def _made(item: Item, config: TranslateConfig, folder: Path) -> Path | None:
    """The file that was made, now or before; None if it cannot be."""
    path = output_of(item, config, out=folder)
    try:
        return path if path.exists() else translate_item(item, config, out=folder).output
    except MedgenError as error:
        LOG.warning("%s: is not completed: %s", item.name, error)
        return None
