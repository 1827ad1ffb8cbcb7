"""A head of balls: bone around fluid around cortex around white matter around a ventricle."""

import torch
from jaxtyping import UInt8
from torch import Tensor

from medgen.phantom.head_disease import Head
from medgen.phantom.tissue import Tissue

SPACING = 3.0  # mm
SHELLS = {  # outer radius, mm
    Tissue.SCALP: 92.0,
    Tissue.CORTICAL_BONE: 87.0,
    Tissue.CSF: 80.0,
    Tissue.GREY_MATTER: 75.0,
    Tissue.WHITE_MATTER: 66.0,
}
VENTRICLE_MM = 12.0


def toy_tissue() -> UInt8[Tensor, "64 64 64"]:
    """The tissues, the first axis from left to right."""
    axis = (torch.arange(64) - 31.5) * SPACING
    r = (axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None] ** 2).sqrt()
    tissue = torch.zeros(64, 64, 64, dtype=torch.uint8)
    for kind, radius in SHELLS.items():
        tissue[r < radius] = int(kind)
    tissue[r < VENTRICLE_MM] = int(Tissue.CSF)
    return tissue


def toy_head() -> Head:
    """The same, with its brain found."""
    return Head.of(toy_tissue(), SPACING)
