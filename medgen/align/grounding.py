"""Grounding: every cell of an image encoder says which findings lie in it.

One report of a whole image teaches a network slowly what a few of its voxels look like; masks of
the findings say where to look. The heads are for training only: no encoder keeps them.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from medgen.encoders.encoded import Encoded
from medgen.encoders.image import ImageEncoderConfig
from medgen.encoders.places import Grid

PRESENT = 0.25  # of a voxel: that much of a finding counts

Logits = Float[Tensor, "batch _ findings"]
"""Of every cell of a level, or of the context."""


class Grounding(nn.Module):
    """A linear head on every level of an encoder's convolutions, and one on its context.

    Args:
        config: Of the encoder.
        findings: How many there are.

    Source: heads at every level are deep supervision, Lee et al. 2015 (arXiv:1409.5185).
    """

    def __init__(self, config: ImageEncoderConfig, findings: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Linear(width, findings) for width in (*config.widths, config.width)
        )

    def forward(self, features: Sequence[Grid], encoded: Encoded | None = None) -> list[Logits]:
        """What is found in each cell, finest level first, then in the context if it is given."""
        cells = [grid.flatten(2).mT for grid in features]
        cells += [] if encoded is None else [encoded.context]
        return [head(cell) for head, cell in zip(self.heads, cells, strict=False)]


def grounding_loss(
    found: Sequence[Logits],
    masks: Float[Tensor, "batch findings *half"],
    known: Bool[Tensor, "batch"],
) -> Float[Tensor, ""]:
    """How badly the cells tell what lies in them, in nats: the mean over the heads.

    A finding fills few cells, so those with it count as much as all without it.

    Args:
        found: Of `Grounding`.
        masks: Share of each finding, 0 to 1, on the grid of the first level.
        known: Which images have masks; the others do not count.
    """
    if not known.any():
        return torch.stack([logits.sum() * 0 for logits in found]).sum()
    pool = F.max_pool2d if masks.ndim == 4 else F.max_pool3d
    losses = []
    there = masks[known]
    for logits in found:
        if there[0, 0].numel() > logits.shape[1]:
            there = pool(there, 2)
        losses.append(_balanced(logits[known], there.flatten(2).mT > PRESENT))
    return torch.stack(losses).mean()


def _balanced(
    logits: Float[Tensor, "batch cells findings"], is_there: Bool[Tensor, "batch cells findings"]
) -> Float[Tensor, ""]:
    """Cross-entropy, for each finding the mean of that of the cells with it and without."""
    logits = logits.float()
    parts = []
    for where, wrong in ((is_there, F.softplus(-logits)), (~is_there, F.softplus(logits))):
        count = where.sum((0, 1)).clamp(min=1)
        parts.append((wrong * where).sum((0, 1)) / count)
    return (parts[0] + parts[1]).mean() / 2
