"""A thorax to simulate from: what the labels of a CT leave open, read off its Hounsfield units.

`python -m benchmarks.thorax --data DIR -o OUT` completes the label map in `DIR/thorax`: muscle,
fat, vessels of the lungs, cortical bone, blood in the heart, gas in stomach and bowel. The result
is for `medgen phantom --anatomy thorax --labels OUT`; no grey value of the CT is in it.
"""

import argparse
import gzip
import sys
from pathlib import Path

import nibabel
import numpy as np
from jaxtyping import Float, Int16
from scipy import ndimage

from benchmarks.data import data_option
from medgen.io import files
from medgen.io.atomic import atomic_file
from medgen.phantom.thorax_labels import BONES, DENSE, FAT, HEART, LOBES, MUSCLE

GAS_BELOW, FAT_BELOW, BONE_ABOVE = -300, -30, 300  # HU
VESSEL_ABOVE = -450  # HU, in a lung
BLOOD_ABOVE = 230  # HU, in a heart that contrast agent flows through
HOLLOW = (6, 18, 19, 20)  # stomach and bowel
SMOOTH_MM = 0.6  # standard deviation of the Gaussian that takes noise off the CT


def completed(
    labels: Int16[np.ndarray, "i j k"],
    hu: Float[np.ndarray, "i j k"],
    spacing: tuple[float, float, float],
) -> Int16[np.ndarray, "i j k"]:
    """The labels with what they leave open, in the numbers of `phantom.thorax_labels`."""
    smooth = ndimage.gaussian_filter(hu, [SMOOTH_MM / step for step in spacing])
    found = labels.copy()
    open_ = labels == 0
    found[open_ & (smooth >= GAS_BELOW)] = FAT
    found[open_ & (smooth >= FAT_BELOW)] = MUSCLE
    found[open_ & (smooth >= BONE_ABOVE)] = BONES[-1] + DENSE
    found[np.isin(labels, HOLLOW) & (smooth < GAS_BELOW)] = 0
    found[np.isin(labels, tuple(LOBES)) & (smooth > VESSEL_ABOVE)] += DENSE
    found[np.isin(labels, BONES) & (smooth > BONE_ABOVE)] += DENSE
    found[np.isin(labels, HEART) & (smooth > BLOOD_ABOVE)] += DENSE
    return found


def main(arguments: list[str] | None = None) -> int:
    """Write the label map."""
    parser = argparse.ArgumentParser(prog="benchmarks.thorax", description=__doc__)
    data_option(parser)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/thorax"), metavar="DIR")
    options = parser.parse_args(arguments)
    ct, labels = (
        files.read(options.data / "thorax" / f"{name}.nii.gz") for name in ("ct", "labels")
    )
    found = completed(
        labels.voxels.astype(np.int16), ct.voxels.astype(np.float32), ct.geometry.spacing
    )
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "thorax_01.nii.gz"
    with atomic_file(path, overwrite=True) as draft:
        image = nibabel.Nifti1Image(found, labels.geometry.affine)
        draft.write_bytes(gzip.compress(image.to_bytes(), mtime=0))
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
