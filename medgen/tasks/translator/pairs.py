"""Real pairs for training: a study's CT and MRI, registered, on one 1 mm grid."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from medgen.data.body import body_of
from medgen.data.intensity import HOUNSFIELD, mri_window
from medgen.data.padding import continued
from medgen.data.register import apply_shift, measure_shift
from medgen.data.resample import Grid, isotropic_grid, resample
from medgen.data.study import Study
from medgen.errors import InputError
from medgen.io import files
from medgen.modality import Kind, Modality
from medgen.tasks.translator.examples import Pair
from medgen.tasks.translator.translator import CT

OUTSIDE = 0.1  # weight of the air around the patient


def read_pairs(studies: Sequence[Study], *, spacing: float, register: bool) -> Iterator[Pair]:
    """Yield every CT and MRI pair of the studies.

    Args:
        studies: Studies with a `ct` and at least one MRI each; others are passed over.
        spacing: Of the grid that the pairs are brought to, mm.
        register: Move each CT rigidly onto its MRI first (mutual information).
    """
    for study in studies:
        for kind in study.images:
            if kind.modality is Modality.MRI and CT in study.images:
                yield read_pair(study, kind, spacing=spacing, register=register)


def read_pair(study: Study, kind: Kind, *, spacing: float, register: bool) -> Pair:
    """Read the CT and the MRI of this kind, on the MRI's grid made isotropic.

    Raises:
        InputError: If a file cannot be read, or the two do not overlap.
    """
    mri = replace(files.read(study.images[kind]), kind=kind)
    ct = replace(files.read(study.images[CT]), kind=CT)
    if register:
        ct = apply_shift(ct, measure_shift(mri, ct))
    grid = isotropic_grid(Grid(mri.voxels.shape, mri.geometry), spacing)
    body = body_of(mri).astype(np.float32)
    inside = resample(body, mri.geometry, grid, fill=0.0) > 0.5
    hu = resample(np.maximum(ct.voxels, HOUNSFIELD.low), ct.geometry, grid, fill=np.nan)
    known = np.isfinite(hu)
    if not known.any():
        raise InputError(f"{study.images[CT]}: does not overlap its MRI; check both affines")
    window = mri_window(mri.voxels)
    shown, unknown = continued(mri.voxels, mri.geometry.spacing)
    share = (window.normalise(resample(shown, mri.geometry, grid, fill=window.low)) + 1) / 2
    untold = resample(unknown.astype(np.float32), mri.geometry, grid, fill=1.0) > 0.5
    weight = np.where(inside, 1.0, OUTSIDE) * (known & ~untold)
    return Pair(
        torch.from_numpy(np.nan_to_num(hu, nan=HOUNSFIELD.low)),
        torch.from_numpy(share),
        kind.contrast,
        torch.from_numpy(weight.astype(np.float32)),
    )
