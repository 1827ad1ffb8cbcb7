"""A real pair lies on one grid, voxel on voxel, and says where it knows nothing."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from medgen.data.study import Study
from medgen.errors import InputError
from medgen.modality import Contrast, Kind
from medgen.tasks.translator.pairs import OUTSIDE, read_pairs

KINDS = {word: Kind.parse(word) for word in ("ct", "mri", "mri:t2")}


def study(folder: Path, volumes: SimpleNamespace, word: str = "mri:t2", shift: float = 0) -> Study:
    """The same head twice; the CT on a coarser, flipped grid."""
    mri = volumes.head("mri", (40, 40, 40))
    ct = volumes.head("ct", (40, 40, 20))[::-1]
    affine = np.diag([-1.0, 1, 2, 1])
    affine[:3, 3] = 39 + shift, shift, 0.5 + shift
    images = {
        KINDS[word]: volumes.save(mri, folder / "mri.nii.gz", np.eye(4)),
        KINDS["ct"]: volumes.save(ct, folder / "ct.nii.gz", affine),
    }
    return Study("s", "p", images)


def test_bone_lies_on_bone(tmp_path: Path, volumes: SimpleNamespace) -> None:
    [pair] = read_pairs([study(tmp_path, volumes)], spacing=1.0, register=False)
    assert pair.contrast is Contrast.T2
    assert pair.ct.shape == pair.mri.shape == pair.weight.shape == (40, 40, 40)
    bone = pair.ct > 700
    brain = (pair.ct > 0) & (pair.ct < 80)
    assert bone.sum() > 1000
    assert pair.mri[bone].mean() < 0.15
    assert pair.mri[brain].mean() > 0.3


def test_weights_tell_body_air_and_nothing_apart(tmp_path: Path, volumes: SimpleNamespace) -> None:
    [pair] = read_pairs([study(tmp_path, volumes, shift=10)], spacing=1.0, register=False)
    assert set(np.unique(pair.weight.numpy()).round(3)) == {0, np.float32(OUTSIDE).round(3), 1}
    assert (pair.weight[:9] == 0).all()  # the CT begins 10 mm further right
    assert pair.ct.isfinite().all()
    assert (pair.ct[:9] == -1024).all()


def test_padding_of_the_mri_teaches_nothing(tmp_path: Path, volumes: SimpleNamespace) -> None:
    one = study(tmp_path, volumes)
    [whole] = read_pairs([one], spacing=1.0, register=False)
    mri = volumes.head("mri", (40, 40, 40)) + 1
    mri[30:] = 0
    volumes.save(mri, one.images[KINDS["mri:t2"]], np.eye(4))
    [pair] = read_pairs([one], spacing=1.0, register=False)
    assert (pair.weight[31:] == 0).all()
    assert torch.equal(pair.mri[30:33], pair.mri[29].expand(3, -1, -1))
    assert torch.equal(pair.weight[:30] > 0, whole.weight[:30] > 0)


def test_padding_of_the_ct_is_no_darker_than_air(tmp_path: Path, volumes: SimpleNamespace) -> None:
    one = study(tmp_path, volumes)
    ct = volumes.head("ct", (40, 40, 20))
    ct[:3] = -3024
    volumes.save(ct, one.images[KINDS["ct"]], np.diag([1.0, 1, 2, 1]))
    [pair] = read_pairs([one], spacing=1.0, register=False)
    assert pair.ct.min() >= -1024


def test_an_unknown_contrast_stays_unknown(tmp_path: Path, volumes: SimpleNamespace) -> None:
    [pair] = read_pairs([study(tmp_path, volumes, "mri")], spacing=1.0, register=False)
    assert pair.contrast is None


def test_studies_without_both_are_passed_over(tmp_path: Path, volumes: SimpleNamespace) -> None:
    whole = study(tmp_path, volumes)
    alone = Study("a", "p", {KINDS["ct"]: whole.images[KINDS["ct"]]})
    assert not list(read_pairs([alone], spacing=1.0, register=False))


def test_images_of_two_places_are_refused(tmp_path: Path, volumes: SimpleNamespace) -> None:
    with pytest.raises(InputError, match="does not overlap its MRI"):
        list(read_pairs([study(tmp_path, volumes, shift=500)], spacing=1.0, register=False))


def test_registering_brings_a_moved_ct_back(tmp_path: Path, volumes: SimpleNamespace) -> None:
    moved = study(tmp_path, volumes, shift=4)
    overlap = []
    for register in (False, True):
        [pair] = read_pairs([moved], spacing=1.0, register=register)
        bone = pair.ct > 700
        overlap.append(float(pair.mri[bone].mean()))
    assert overlap[1] < overlap[0] - 0.1
