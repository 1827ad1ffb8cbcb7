"""References as raw channels, a slot for each role: what a baseline gets instead of an encoder."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from medgen.diffusion.padding import pad_to_multiple
from medgen.instruct.instruction import Role
from medgen.instruct.reader import ROLES
from medgen.tasks.flows.flow import FlowConfig, folded


def slot_stride(flow: FlowConfig) -> int:
    """Cells of the latent, along each axis, that are one cell of the flow's bottleneck."""
    return flow.patch * 2 ** (len(flow.widths) - 1)


def slot_channels(flow: FlowConfig) -> int:
    """How many channels `slotted` gives."""
    return len(ROLES) * (flow.channels * slot_stride(flow) ** len(flow.grid) + 1)


def slotted(
    latents: Sequence[Float[Tensor, "latent *grid"]], roles: Sequence[Role], flow: FlowConfig
) -> Float[Tensor, "1 slots *coarse"]:
    """The references of one item, folded onto the grid of the bottleneck.

    A slot holds the codec's latent as it is; of several references of one role, their mean. A last
    channel of each slot says whether it is filled.

    Args:
        latents: At least one, as the flow's codec makes them.
        roles: Of each.
        flow: Says where the bottleneck is.

    Source: channels of the input, as in InstructPix2Pix, Brooks et al. 2023, section 3.2
    (arXiv:2211.09800).
    """
    stride, slots = slot_stride(flow), []
    for role in ROLES:
        own = [one for one, of in zip(latents, roles, strict=True) if of is role]
        mean = torch.stack(own).mean(0) if own else torch.zeros_like(latents[0])
        fold = folded(pad_to_multiple(mean[None], stride), stride)
        slots += [fold, torch.full_like(fold[:, :1], float(bool(own)))]
    return torch.cat(slots, dim=1)
