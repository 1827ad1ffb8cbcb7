"""References as a reader takes them: each latent, with its caption, through the flow's own half."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from medgen.instruct.instruction import Role
from medgen.instruct.reader import ROLES, Read, Reader, gathered
from medgen.tasks.flows.conditions import Told, conditions_of
from medgen.tasks.flows.flow import Flow
from medgen.tasks.instructing.slots import slotted


class Shown(NamedTuple):
    """One reference of one item.

    Attributes:
        latent: As the flow's codec makes it.
        role: What is taken from it.
        caption: What it shows, in words; empty for nothing.
        scan: How the flow is told that it is scanned; None for a radiograph.
    """

    latent: Tensor
    role: Role
    caption: str = ""
    scan: Told | None = None


def read_shown(
    flow: Flow,
    reader: Reader,
    shown: Sequence[Sequence[Shown]],
    told: Callable[[str], Told],
) -> Read:
    """Read the references of a batch.

    The flow's half learns nothing from it; a reader in training does. One of raw references takes
    them past that half, without their captions.

    Args:
        flow: Whose down-sampling half looks at the references.
        reader: Of what it sees.
        shown: The references of each item, in any order.
        told: What the text encoder says of a caption; of the empty one, the empty condition.
    """
    like = reader.answer.weight
    single = [one for of in shown for one in of]
    if not single:
        return gathered([[] for _ in shown], like)
    if reader.config.raw:
        return _read_raw(flow, reader, shown)
    latents = torch.stack([one.latent for one in single]).to(like)
    with torch.no_grad():
        said = [[told(one.caption).to(like.device)] for one in single]
        scans = [[one.scan.to(like.device)] if one.scan else [] for one in single]
        captions = conditions_of([[*a, *b] for a, b in zip(said, scans, strict=True)])
        features = flow.features(latents, flow.conditioner(captions))
    roles = torch.tensor([ROLES.index(one.role) for one in single], device=like.device)
    tokens = iter(reader.read(features, roles)[:, None])
    return gathered([[next(tokens) for _ in of] for of in shown], like)


def _read_raw(flow: Flow, reader: Reader, shown: Sequence[Sequence[Shown]]) -> Read:
    """The references of each item as raw channels."""
    like = reader.answer.weight
    slots = torch.cat(
        [
            slotted([one.latent.to(like) for one in of], [one.role for one in of], flow.config)
            for of in shown
            if of
        ]
    )
    roles = torch.zeros(len(slots), dtype=torch.long, device=like.device)
    tokens = iter(reader.read(slots, roles)[:, None])
    return gathered([[next(tokens)] if of else [] for of in shown], like)
