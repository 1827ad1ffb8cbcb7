"""A chest of boxes: every lobe, the heart and the ribs, where anybody can count them."""

import torch

from medgen.phantom.chest import Chest
from medgen.phantom.part import Part
from medgen.phantom.tissue import Tissue

SPACING = 4.0  # mm
BOXES = {  # right, front, up: first and last voxel
    Part.LEFT_LOWER_LOBE: ((4, 18), (6, 30), (6, 26)),
    Part.LEFT_UPPER_LOBE: ((4, 18), (6, 30), (26, 46)),
    Part.RIGHT_LOWER_LOBE: ((30, 44), (6, 18), (6, 26)),
    Part.RIGHT_MIDDLE_LOBE: ((30, 44), (18, 30), (6, 26)),
    Part.RIGHT_UPPER_LOBE: ((30, 44), (6, 30), (26, 46)),
    Part.HEART: ((18, 30), (14, 28), (8, 26)),
    Part.LEFT_RIB: ((2, 4), (6, 30), (20, 22)),
    Part.RIGHT_RIB: ((44, 46), (6, 30), (20, 22)),
}


def toy_chest(*, is_upright: bool = True) -> Chest:
    """A box of muscle with lungs, heart and a rib on each side; air around it."""
    part = torch.zeros(48, 36, 52, dtype=torch.uint8)
    tissue = torch.zeros_like(part)
    tissue[1:47, 2:34] = int(Tissue.MUSCLE)
    for kind, box in BOXES.items():
        where = tuple(slice(*ends) for ends in box)
        part[where] = int(kind)
        tissue[where] = int(Tissue.LUNG)
    tissue[part == int(Part.HEART)] = int(Tissue.HEART)
    tissue[(part == int(Part.LEFT_RIB)) | (part == int(Part.RIGHT_RIB))] = int(Tissue.CORTICAL_BONE)
    return Chest(tissue, part, SPACING, is_upright)
