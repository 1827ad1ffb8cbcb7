"""A thorax from a label map: TotalSegmentator's numbers, and a few beside them.

Numbers 1 to 118 are those of TotalSegmentator's task `total`, version 2 (Wasserthal et al. 2023,
10.1148/ryai.230024). It leaves muscle and fat without a number and does not tell what is dense
in an organ from what is not; a map that is to be simulated from has 123 for muscle, 125 for fat
and, 200 higher than the organ, its dense part: vessels of a lobe, cortex of a bone, blood of a
heart. `python -m benchmarks.thorax` makes one of a CT and its labels.
"""

from pathlib import Path

import numpy as np
import torch

from medgen.errors import InputError
from medgen.io import files
from medgen.io.upright import upright
from medgen.phantom.anatomy import Anatomy, without_islands
from medgen.phantom.part import Part
from medgen.phantom.tissue import Tissue

DENSE = 200  # added to an organ's number for its dense part
MUSCLE, FAT = 123, 125
BONES = (*range(25, 51), *range(69, 79), 91, *range(92, 117))
LOBES = {
    10: Part.LEFT_UPPER_LOBE,
    11: Part.LEFT_LOWER_LOBE,
    12: Part.RIGHT_UPPER_LOBE,
    13: Part.RIGHT_MIDDLE_LOBE,
    14: Part.RIGHT_LOWER_LOBE,
}
LEFT_RIBS, RIGHT_RIBS = range(92, 104), range(104, 116)
HEART = (51, 61)  # and the left atrial appendage
SOLID = {
    Tissue.SPLEEN: (1,),
    Tissue.KIDNEY: (2, 3),
    Tissue.LIVER: (5,),
    Tissue.FLUID: (4, 21, 23, 24),  # gall bladder, bladder, cysts
    Tissue.SOFT: (6, 7, 8, 9, 15, 17, 18, 19, 20, 22),
    Tissue.AIR: (0, 16),
    Tissue.BLOOD: (*range(52, 61), *range(62, 69)),
    Tissue.WHITE_MATTER: (79, 90),
    Tissue.MUSCLE: (*range(80, 90), MUSCLE),
    Tissue.FAT: (FAT,),
    Tissue.CARTILAGE: (117, 118),
    Tissue.LUNG: tuple(LOBES),
    Tissue.HEART: HEART,
    Tissue.SPONGY_BONE: BONES,
}
DENSE_PARTS = {
    Tissue.BLOOD: (*LOBES, *HEART),
    Tissue.CORTICAL_BONE: BONES,
}


def read_thorax(path: Path) -> Anatomy:
    """Read a thorax's label map and turn it to RAS+.

    Raises:
        InputError: If the file cannot be read, has labels that no table explains, or lacks a lung.
    """
    image = files.read(path)
    voxels, spacing = upright(image.voxels, image.geometry)
    tissues = _table(
        {n: int(kind) for kind, numbers in SOLID.items() for n in numbers}
        | {n + DENSE: int(kind) for kind, numbers in DENSE_PARTS.items() for n in numbers}
    )
    found = np.unique(voxels)
    if unknown := [n for n in found.tolist() if n != int(n) or not _is_known(int(n), tissues)]:
        raise InputError(f"{path}: labels {unknown[:5]} are not of the thorax table; relabel them")
    numbers = voxels.astype(np.int64)
    parts = {n: int(part) for n, part in LOBES.items()}
    parts |= {n: int(Part.HEART) for n in HEART}
    parts |= {n: int(Part.LEFT_RIB) for n in LEFT_RIBS} | {
        n: int(Part.RIGHT_RIB) for n in RIGHT_RIBS
    }
    parts |= {n + DENSE: part for n, part in parts.items()}
    part = np.maximum(_table(parts), 0)[numbers].astype(np.uint8)
    if missing := [lobe.name.lower() for lobe in LOBES.values() if not (part == int(lobe)).any()]:
        raise InputError(f"{path}: has no {missing[0].replace('_', ' ')}; it is no whole thorax")
    tissue = without_islands(tissues[numbers].astype(np.uint8))
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    return Anatomy(name, torch.from_numpy(tissue), spacing, torch.from_numpy(part))


def _table(meanings: dict[int, int]) -> np.ndarray:
    """What each number means; -1 where it means nothing."""
    table = np.full(max(DENSE_PARTS[Tissue.CORTICAL_BONE]) + DENSE + 1, -1, np.int16)
    for number, meaning in meanings.items():
        table[number] = meaning
    return table


def _is_known(number: int, table: np.ndarray) -> bool:
    return 0 <= number < len(table) and bool(table[number] >= 0)
