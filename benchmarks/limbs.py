"""Limbs to simulate: label maps read off the CTs of the training pairs by their Hounsfield units.

A real pair shows one contrast, some millimetres off; the MRI that the phantom renders of these
maps shows every contrast, exactly where the CT is. `python -m benchmarks.limbs --data DIR -o OUT`
writes them, with links to the heads beside them: a folder for `medgen train --labels`.
"""

import argparse
import gzip
import os
import sys
from pathlib import Path

import nibabel
import numpy as np
from jaxtyping import Bool, Float, Int16
from scipy import ndimage

from benchmarks.data import CT, data_option, of_split
from benchmarks.pieces import ball
from medgen.data.body import filled, largest
from medgen.data.resample import Grid, isotropic_grid, resample
from medgen.data.study import Split
from medgen.io import files
from medgen.io.atomic import atomic_file
from medgen.modality import AIR_HU
from medgen.phantom.tissue import LABELS, Tissue

AIR_BELOW, FAT_BELOW, SOFT_BELOW, CORTICAL_ABOVE = -500, -25, 160, 500  # HU
FATTY_BELOW = 45  # HU: half way from fat to spongy bone
GAP_MM = 2  # in a cortex, that is closed before its inside is looked for
LARGEST_BONE_MM2 = 5000  # in an axial slice; what encloses more is a pelvis
NOISE_MM = 0.8  # standard deviation of the Gaussian that takes the noise off the CT
COUCH_MM = 6  # what is thinner than this is no body
SKIN_MM = 2  # of dermis on limbs
CLEFT_MM = 2  # between a limb and its mirror image
PRESSED_MM = 15  # by which both are flattened where they meet, but never
OVER_BONE_MM = 6  # nearer to bone than this
BONES = (Tissue.CORTICAL_BONE, Tissue.SPONGY_BONE)
REACH_MM = 16  # by which what meets the edge of the field of view goes on beyond it


def tissues(hu: Float[np.ndarray, "i j k"]) -> Int16[np.ndarray, "i j k"]:
    """The `Tissue` of each voxel of a limb's CT with voxels of 1 mm.

    Thin bone looks like spongy bone where it fills half a voxel: only what is at least three
    voxels wide is spongy, the rest is cortical or, below half of its HU, soft. What is soft and
    inside a bone is marrow: fat, or spongy bone with much of it.
    """
    smooth = ndimage.gaussian_filter(hu, NOISE_MM)
    found = np.full(hu.shape, Tissue.MUSCLE, np.int16)
    found[smooth < FAT_BELOW] = Tissue.FAT
    between = (smooth >= SOFT_BELOW) & (smooth <= CORTICAL_ABOVE)
    marrow = enclosed(smooth > SOFT_BELOW)
    dense = between | (marrow & (smooth >= FATTY_BELOW) & (smooth <= CORTICAL_ABOVE))
    spongy = ndimage.binary_opening(dense, np.ones((3, 3, 3)))
    found[marrow] = Tissue.FAT
    found[between & (smooth > (SOFT_BELOW + CORTICAL_ABOVE) / 2)] = Tissue.CORTICAL_BONE
    found[spongy] = Tissue.SPONGY_BONE
    found[smooth > CORTICAL_ABOVE] = Tissue.CORTICAL_BONE
    inside = body(smooth)
    found[inside & ~_under_skin(inside)] = Tissue.SKIN
    found[~inside] = Tissue.AIR
    return found


def _under_skin(inside: Bool[np.ndarray, "i j k"]) -> Bool[np.ndarray, "i j k"]:
    """What lies deeper; gas in a body has no skin around it, nor has a body where the scan ends."""
    return ndimage.binary_erosion(filled(inside, axis=2), ball(SKIN_MM), border_value=1)


def enclosed(bone: Bool[np.ndarray, "i j k"]) -> Bool[np.ndarray, "i j k"]:
    """What bone surrounds in an axial slice: the marrow of a shaft or a joint, no pelvis."""
    inside = np.zeros_like(bone)
    around = np.ones((2 * GAP_MM + 1,) * 2)
    for k in range(bone.shape[2]):
        whole = np.pad(bone[:, :, k], GAP_MM, mode="edge")
        whole = ndimage.binary_closing(whole, around)[GAP_MM:-GAP_MM, GAP_MM:-GAP_MM]
        holes, _ = ndimage.label(ndimage.binary_fill_holes(whole) & ~bone[:, :, k])
        areas = np.bincount(holes.ravel())
        areas[0] = LARGEST_BONE_MM2 + 1  # what is no hole
        inside[:, :, k] = (areas <= LARGEST_BONE_MM2)[holes]
    return inside


def with_its_mirror(
    found: Int16[np.ndarray, "i j k"],
) -> tuple[Int16[np.ndarray, "wider j k"], int]:
    """A limb and its mirror image, as thighs lie, and the voxels along i that the limb has moved.

    Their skins touch in the lower half of the slices; a cleft of air is between them in the upper.
    A limb that its scan cuts off at both ends of the axis i stays alone.
    """
    at = np.flatnonzero((found != Tissue.AIR).any(axis=(1, 2)))
    if not at.size or (at[0] == 0 and at[-1] == len(found) - 1):
        return found, 0
    if at[-1] == len(found) - 1:
        flipped, _ = with_its_mirror(found[::-1])
        return flipped[::-1], len(flipped) - len(found)
    bone = np.flatnonzero(np.isin(found, BONES).any(axis=(1, 2)))
    least = bone[-1] + OVER_BONE_MM if bone.size else 0
    kept = found[: min(at[-1], max(at[-1] - PRESSED_MM, least)) + 1].copy()
    kept[-SKIN_MM:][kept[-SKIN_MM:] != Tissue.AIR] = Tissue.SKIN
    cleft = np.repeat(kept[-1:], CLEFT_MM, axis=0)
    cleft[:, :, cleft.shape[2] // 2 :] = Tissue.AIR
    return np.concatenate([kept, cleft, kept[::-1]]), 0


def body(hu: Float[np.ndarray, "i j k"]) -> Bool[np.ndarray, "i j k"]:
    """The largest piece that is no air, without the couch, which is thin."""
    dense = np.pad(hu > AIR_BELOW, COUCH_MM, mode="edge")  # a body goes on beyond the scan
    thick = largest(ndimage.binary_opening(dense, iterations=COUCH_MM // 2))
    inner = (slice(COUCH_MM, -COUCH_MM),) * 3
    return (ndimage.binary_dilation(thick) & dense)[inner]


def label_map(path: Path) -> nibabel.Nifti1Image:
    """The label map of a CT file, 1 mm, in the numbers of `phantom.tissue.LABELS`.

    Beside the limb, which lies where the CT has it, is its mirror image (`with_its_mirror`).
    """
    ct = files.read(path)
    i, j, k = ct.voxels.shape
    grid = isotropic_grid(Grid((i, j, k), ct.geometry), 1.0)
    hu = resample(ct.voxels, ct.geometry, grid, fill=AIR_HU)
    found, moved = with_its_mirror(tissues(hu))
    numbers = np.zeros(len(Tissue), np.int16)
    for tissue, labels in LABELS.items():
        numbers[tissue] = labels[0]
    wide = np.pad(numbers[found], REACH_MM, mode="edge")
    affine = grid.geometry.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ np.array([REACH_MM + moved, REACH_MM, REACH_MM])
    return nibabel.Nifti1Image(wide, affine)


def main(arguments: list[str] | None = None) -> int:
    """Write a label map for each training patient, and link the heads."""
    parser = argparse.ArgumentParser(prog="benchmarks.limbs", description=__doc__)
    data_option(parser)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/labels"), metavar="DIR")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for head in sorted((options.data / "heads").glob("*.nii.gz")):
        link = options.out / head.name
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(head.resolve(), options.out.resolve()))
    for study in of_split(options.data, Split.TRAIN):
        with atomic_file(options.out / f"{study.id}.nii.gz", overwrite=True) as draft:
            draft.write_bytes(gzip.compress(label_map(study.images[CT]).to_bytes(), mtime=0))
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
