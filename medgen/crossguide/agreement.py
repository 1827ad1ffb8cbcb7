"""Latents of one study lie together, whichever flow they are of."""

from collections.abc import Mapping
from itertools import combinations

from jaxtyping import Float, Int
from torch import Tensor

from medgen.align.gather import gathered
from medgen.align.loss import alignment_loss, same_group
from medgen.crossguide.environment import Environment


def agreement_losses(
    told: Mapping[str, Environment],
    scale: Float[Tensor, ""],
    groups: Int[Tensor, "batch"],
) -> dict[str, Float[Tensor, ""]]:
    """The alignment loss of the environments of each pair of flows, over all processes.

    Args:
        told: What each flow tells of a batch of studies, in the same order.
        scale: 1 / temperature.
        groups: Studies of one group are not each other's negatives.

    Returns:
        By pair, as `text-xray`.

    Source: Tang et al. 2023, eq. 5 (arXiv:2305.11846).
    """
    duplicates = same_group(gathered(groups))
    places = {name: gathered(told[name].embedding) for name in sorted(told)}
    return {
        f"{one}-{other}": alignment_loss(places[one], places[other], scale, duplicates=duplicates)
        for one, other in combinations(places, 2)
    }
