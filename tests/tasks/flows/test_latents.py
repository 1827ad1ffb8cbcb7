"""Where findings lie in a latent's cells."""

from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from PIL import Image

from medgen.data.standard import StandardConfig
from medgen.modality import Modality
from medgen.tasks.flows.latents import cells_found


def test_a_mask_marks_the_cells_that_it_touches(tmp_path: Path) -> None:
    grey = np.random.default_rng(3).integers(0, 255, (48, 64), np.uint8)
    Image.fromarray(grey).save(tmp_path / "xray.png")
    masks = tmp_path / "masks"
    masks.mkdir()
    for name, box in {"mass": np.s_[4:8, 4:8], "nodule": np.s_[40:48, 48:64]}.items():
        drawn = np.zeros((48, 64), np.uint8)
        drawn[box] = 1
        Image.fromarray(drawn).save(masks / f"{name}.png")
    found = cells_found(
        tmp_path / "xray.png", Modality.XRAY, masks, (8, 8), StandardConfig(side=64)
    )
    wanted = torch.zeros(8, 8)
    wanted[1, 0] = 1  # eight rows of black lie above the picture: it is no square
    wanted[6, 6:] = 1
    assert torch.equal(found.float(), wanted)


def test_a_mask_of_a_volume_marks_the_cells_where_the_volume_lies(tmp_path: Path) -> None:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    body = np.full((16, 16, 16), 40, np.int16)  # HU
    body[8, 8, 8] = 60
    nib.save(nib.Nifti1Image(body, affine), tmp_path / "ct.nii.gz")
    masks = tmp_path / "masks"
    masks.mkdir()
    drawn = np.zeros((16, 16, 16), np.uint8)
    drawn[4:8, 0:4, 12:16] = 1
    nib.save(nib.Nifti1Image(drawn, affine), masks / "mass.nii.gz")
    view = StandardConfig(shape=(16, 16, 16), spacings=(2.0,))
    found = cells_found(tmp_path / "ct.nii.gz", Modality.CT, masks, (4, 4, 4), view)
    wanted = torch.zeros(4, 4, 4)
    wanted[1, 0, 3] = 1
    assert torch.equal(found.float(), wanted)
