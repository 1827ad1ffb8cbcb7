"""Parts of a body that a report names: which lobe a voxel of the lung belongs to, and more."""

from enum import IntEnum

import torch

from medgen.finding import Side


class Part(IntEnum):
    """What a voxel is part of, where that matters to a finding."""

    NONE = 0
    LEFT_UPPER_LOBE = 1
    LEFT_LOWER_LOBE = 2
    RIGHT_UPPER_LOBE = 3
    RIGHT_MIDDLE_LOBE = 4
    RIGHT_LOWER_LOBE = 5
    HEART = 6
    LEFT_RIB = 7
    RIGHT_RIB = 8


LOBES = {  # and the word for the region in phrase files
    Part.LEFT_UPPER_LOBE: "upper_lobe",
    Part.LEFT_LOWER_LOBE: "lower_lobe",
    Part.RIGHT_UPPER_LOBE: "upper_lobe",
    Part.RIGHT_MIDDLE_LOBE: "middle_lobe",
    Part.RIGHT_LOWER_LOBE: "lower_lobe",
}
LUNGS = {
    Side.LEFT: (Part.LEFT_UPPER_LOBE, Part.LEFT_LOWER_LOBE),
    Side.RIGHT: (Part.RIGHT_UPPER_LOBE, Part.RIGHT_MIDDLE_LOBE, Part.RIGHT_LOWER_LOBE),
}


def side_of(part: Part) -> Side | None:
    """The patient's side that a part lies on; None for the heart and for nothing."""
    word = part.name.partition("_")[0].lower()
    return Side(word) if word in (Side.LEFT, Side.RIGHT) else None


def _mirrored(part: Part) -> Part:
    """The part on the other side; the left upper lobe for the right middle one."""
    left, right = "LEFT_", "RIGHT_"
    if part.name.startswith(left):
        return Part[right + part.name.removeprefix(left)]
    if part is Part.RIGHT_MIDDLE_LOBE:
        return Part.LEFT_UPPER_LOBE
    return Part[part.name.replace(right, left)]


MIRRORED = torch.tensor([int(_mirrored(part)) for part in Part], dtype=torch.uint8)
"""What each part is called when the body is mirrored left to right."""
