"""Real pairs for training: a study's CT and MRI, registered, on one 1 mm grid."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from medgen.data.body import body_of
from medgen.data.intensity import HOUNSFIELD, mri_window
from medgen.data.register import apply_shift, measure_shift
from medgen.data.resample import Grid, isotropic_grid, resample
from medgen.data.study import Study
from medgen.io import files
from medgen.modality import Contrast, Modality
from medgen.tasks.examples import Pair
from medgen.tasks.translator import CT

OUTSIDE = 0.1  # weight of the air around the patient


def read_pairs(studies: Sequence[Study], *, spacing: float, register: bool) -> Iterator[Pair]:
    """Yield every CT and MRI pair of the studies.

    Args:
        studies: Studies with a `ct` and at least one MRI each; others are passed over.
        spacing: Of the grid that the pairs are brought to, mm.
        register: Move each CT rigidly onto its MRI first (mutual information).
    """
    for study in studies:
        for kind, path in study.images.items():
            if kind.modality is Modality.MRI and CT in study.images:
                contrast = kind.contrast or Contrast.T1
                yield read_pair(study, path, contrast, spacing=spacing, register=register)


def read_pair(
    study: Study, path: Path, contrast: Contrast, *, spacing: float, register: bool
) -> Pair:
    """Read one pair, on the MRI's grid made isotropic."""
    mri, ct = files.read(path), files.read(study.images[CT])
    if register:
        ct = apply_shift(ct, measure_shift(mri, ct))
    grid = isotropic_grid(Grid(mri.voxels.shape, mri.geometry), spacing)
    body = body_of(mri).astype(np.float32)
    inside = resample(body, mri.geometry, grid, fill=0.0) > 0.5
    hu = resample(ct.voxels, ct.geometry, grid, fill=np.nan)
    known = np.isfinite(hu)
    window = mri_window(mri.voxels)
    share = (window.normalise(resample(mri.voxels, mri.geometry, grid, fill=window.low)) + 1) / 2
    weight = np.where(inside, 1.0, OUTSIDE) * known
    return Pair(
        torch.from_numpy(np.nan_to_num(hu, nan=HOUNSFIELD.low)),
        torch.from_numpy(share),
        contrast,
        torch.from_numpy(weight.astype(np.float32)),
    )
