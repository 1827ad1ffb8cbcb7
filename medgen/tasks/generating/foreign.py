"""Are images that something is made after like those that the model knows?"""

import logging
from collections.abc import Sequence
from functools import lru_cache
from weakref import WeakKeyDictionary

import torch

from medgen.instruct.instruction import Role
from medgen.io.image import MedicalImage
from medgen.tasks.finder.model import FINDER, LoadedFinder, load_finder
from medgen.tasks.flows.prompt import CHEST, Prompt
from medgen.tasks.generating.config import GenerateConfig
from medgen.tasks.generating.generator import Generator
from medgen.tasks.instructing.references import Pointed
from medgen.tasks.preflight import check_range
from medgen.tasks.reporting.seen import Seen, seen_of, unlike

LOG = logging.getLogger(__name__)


def check_given(
    prompt: Prompt,
    sources: Sequence[MedicalImage],
    references: Sequence[Pointed],
    loaded: Generator,
    config: GenerateConfig,
) -> None:
    """Refuse images unlike those of training, or warn of them.

    Scans are compared with the range on the model's card. Where a chest is made, the patient who
    is told of, or shown as the subject, is compared with the chests of the model's finder.

    Raises:
        OutOfRangeError: If one differs too much, and nobody forces it.
    """
    for one in references:
        if one.image.kind is not None and one.image.voxels.ndim == 3:
            for line in check_range(one.image, loaded.card.training_range, force=config.force):
                LOG.warning("%s", line)
    if FINDER not in loaded.card.parts or loaded.check_anatomy(prompt) != {CHEST}:
        return
    subjects = [one.image for one in references if one.role is Role.SUBJECT]
    if patients := [one for one in [*sources, *subjects] if one.kind]:
        finder, known = _finder(config.model, loaded.device)
        patients = [one for one in patients if str(one.kind) in finder.finder.config.kinds]
        for image in patients:
            if image not in known:
                (known[image],) = seen_of([image], finder, loaded.device)
        for line in unlike([known[image] for image in patients], finder, force=config.force):
            LOG.warning("%s; what is made may follow it less", line)


@lru_cache(maxsize=1)
def _finder(
    model: str, device: torch.device
) -> tuple[LoadedFinder, WeakKeyDictionary[MedicalImage, Seen]]:
    """The finder, and what it sees of each image: many prompts may come with the same one."""
    return load_finder(model, device), WeakKeyDictionary()
