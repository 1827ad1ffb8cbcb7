"""Concepts of the toy models, and scans to weave them into."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from PIL import Image

from medgen.io import files
from medgen.tasks.given import Given
from medgen.tasks.weaving.concept_file import save_concept
from medgen.tasks.weaving.files import read_scan
from medgen.tasks.weaving.learn import Example, LearnConfig, Learned, learn
from tests.tasks.align_toy import PLACES

FEW = {"steps": 6, "batch": 2, "views": 2, "prior_images": 1, "device": "cpu"}


def corner_examples(studies: Path) -> list[Example]:
    """The bright squares of the toy radiographs."""
    examples = []
    for number, (row, column) in enumerate(PLACES.values()):
        image = files.read(studies / f"{number}.png")
        region = np.zeros(image.voxels.shape, bool)
        region[8 * row : 8 * row + 16, 8 * column : 8 * column + 16] = True
        examples.append(Example(image, region))
    return examples


def learned(examples: list[Example], model: Path, **changes: Any) -> Learned:
    """A concept of the toy model."""
    config = LearnConfig(**{"name": "mass", "model": str(model), **FEW, **changes})
    made = [one for one in learn(examples, config) if isinstance(one, Learned)]
    return made[0]


def shaken(made: Learned) -> Learned:
    """A concept with random weights: toy flows know four images by heart, and make no fifth."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for one in made.concept.parameters():
            one.add_(torch.randn(one.shape, generator=generator))
    return made


def saved(made: Learned, path: Path) -> Path:
    return save_concept(made.concept, made.card, path)


def dim_radiograph(path: Path, shape: tuple[int, int] = (64, 64)) -> Path:
    """A radiograph of 12 bits with a bright square at the top right, and noise elsewhere."""
    grey = 640 + np.random.default_rng(0).integers(-20, 21, shape)
    grey[:5, :5] = 0  # fewer than the percentiles leave out
    grey[8:24, shape[1] - 24 : shape[1] - 8] = 4000
    Image.fromarray(grey.astype(np.uint16)).save(path)
    return path


def ct(path: Path, head: Any, *, dtype: str = "i2") -> Path:
    """A small CT in a header with words of its own, at 4 mm."""
    voxels = head("ct", (30, 28, 26)).astype(dtype)
    image = nib.Nifti1Image(voxels, np.diag([-4.0, 4, 4, 1]))
    image.header["aux_file"] = b"own words"
    nib.save(image, path)
    return path


def ct_examples(path: Path) -> list[Example]:
    image = read_scan(Given.parse(f"ct={path}"))
    region = np.zeros(image.voxels.shape, bool)
    region[12:18, 12:18, 10:16] = True
    return [Example(image, region)] * 3


def save_mask(region: np.ndarray, path: Path, like: Path | None = None) -> Path:
    """A mask as PNG, or on the grid of a NIfTI file."""
    values = region.astype(np.uint8)
    if like is None:
        Image.fromarray(values * 255).save(path)
    else:
        nib.save(nib.Nifti1Image(values, nib.load(like).affine), path)
    return path
