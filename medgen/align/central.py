"""Which modalities meet: each meets the text, and through it all others."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from medgen.align.gather import gathered
from medgen.align.invariant import invariance_loss
from medgen.align.loss import alignment_loss, same_group
from medgen.modality import Modality

HUB = Modality.TEXT
Pairs = Literal["hub", "all"]


@dataclass(frozen=True)
class Given:
    """One modality of a batch of studies.

    Attributes:
        rows: One for each study: what its encoder takes, or the embedding; anything where absent.
        present: True for the studies that have this modality.
    """

    rows: Shaped[Tensor, "batch *rest"]
    present: Bool[Tensor, "batch"]


Batch = Mapping[Modality, Given]
"""What is given of a batch of studies; the same number of studies in every modality."""


def met(modalities: Iterable[Modality], pairs: Pairs = "hub") -> list[tuple[Modality, Modality]]:
    """The pairs that are trained: those with the hub, or all.

    Example:
        >>> [f"{a}-{b}" for a, b in met([Modality.CT, Modality.TEXT, Modality.XRAY])]
        ['text-xray', 'text-ct']
    """
    ordered = [modality for modality in Modality if modality in set(modalities)]
    return [pair for pair in combinations(ordered, 2) if pairs == "all" or HUB in pair]


def alignment_losses(
    embedded: Batch,
    scale: Float[Tensor, ""],
    *,
    groups: Int[Tensor, "batch"] | None = None,
    decoys: Given | None = None,
    pairs: Pairs = "hub",
) -> dict[str, Float[Tensor, ""]]:
    """The alignment loss of every pair, over the studies of all processes that have both.

    Args:
        embedded: Embeddings, from the aligner.
        scale: 1 / temperature.
        groups: Studies of one group are not each other's negatives.
        decoys: Embedded reports that are wrong in one fact, some for each study, zeros where there
            are fewer: negatives for the images.
        pairs: `hub` is the paper's; `all` an ablation.

    Returns:
        By pair, as `text-ct`; 0 for a pair that no two studies have.
    """
    everyone = {modality: _gathered(given) for modality, given in embedded.items()}
    group_of = None if groups is None else gathered(groups)
    misleading = None if decoys is None else _gathered(decoys)
    losses = {}
    for one, other in met(everyone, pairs):
        both = everyone[one].present & everyone[other].present
        duplicates = None if group_of is None else same_group(group_of[both])
        own = None
        if misleading is not None and one is HUB:
            own = misleading.rows[both] * misleading.present[both, None, None]
        losses[f"{one}-{other}"] = alignment_loss(
            everyone[one].rows[both],
            everyone[other].rows[both],
            scale,
            duplicates=duplicates,
            decoys=own,
        )
    return losses


def wording_loss(
    one: Given,
    other: Given,
    scale: Float[Tensor, ""],
    *,
    groups: Int[Tensor, "batch"],
    decoys: Given,
) -> Float[Tensor, ""]:
    """The alignment loss of two reports of each study, in other words: both say the same.

    Args:
        one: Embedded reports, like the decoys but for one fact.
        other: Embedded reports of the same studies, written anew.
        scale: 1 / temperature.
        groups: As for `alignment_losses`.
        decoys: As for `alignment_losses`.
    """
    first, second, misleading = (_gathered(given) for given in (one, other, decoys))
    both = first.present & second.present
    return alignment_loss(
        first.rows[both],
        second.rows[both],
        scale,
        duplicates=same_group(gathered(groups)[both]),
        decoys=misleading.rows[both] * misleading.present[both, None, None],
    )


def invariance_losses(
    one: Batch, other: Batch, *, diag_weight: float = 1.0
) -> dict[str, Float[Tensor, ""]]:
    """The visual invariant of every imaging modality, over the images of all processes.

    Args:
        one: Embeddings of one view of each image.
        other: Embeddings of another.
        diag_weight: As for `invariance_loss`.
    """
    losses = {}
    for modality in (modality for modality in one if modality is not HUB):
        first, second = _gathered(one[modality]), _gathered(other[modality])
        losses[str(modality)] = invariance_loss(
            first.rows[first.present],
            second.rows[first.present],
            diag_weight=diag_weight,
        )
    return losses


def _gathered(given: Given) -> Given:
    present = gathered(given.present.byte())  # gloo carries no booleans
    return Given(gathered(given.rows), present.bool())
