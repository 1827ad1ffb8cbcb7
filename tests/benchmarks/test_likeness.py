"""Alike is what differs in rounding; a changed simulator, patient or grid is another image."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest

from benchmarks.likeness import Match, match, signature, worst
from medgen.modality import Kind
from medgen.phantom.study import simulate_study
from medgen.phantom.study_config import StudyConfig

PLAIN = StudyConfig(seed=5, contrasts=("t1",), spacing=3.0, thick=0.0, partial=0.0, fwhm_mm=3.0)
Images = dict[Kind, np.ndarray]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> StudyConfig:
    """A head of boxes: bone around white matter around fluid, as a label map."""
    labels = np.zeros((30, 32, 34), np.int16)
    for border, label in ((3, 515), (6, 2), (12, 4)):
        labels[border:-border, border:-border, border:-border] = label
    path = tmp_path_factory.mktemp("labels") / "boxes.nii.gz"
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([3.0, 3.0, 3.0, 1.0])), path)
    return replace(PLAIN, labels=path)


def images(config: StudyConfig) -> Images:
    return {kind: image.voxels for kind, image in simulate_study(config, 0).images.items()}


@pytest.fixture(scope="module")
def before(plain: StudyConfig) -> Images:
    return images(plain)


def compared(found: np.ndarray, listed: np.ndarray, parts: int = 2) -> Match:
    expected = signature(listed, parts)
    return match("a", signature(found, parts), listed="b", expected=expected)


@pytest.mark.parametrize(
    "change",
    [
        {"noise_hu": 15.3, "noise_mri": 0.02},
        {"fwhm_mm": 3.1},
        {"spacing": 3.1},
        {"seed": 6},
        {"protocols": "typical"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_simulator_is_refused(
    before: Images, plain: StudyConfig, change: dict[str, object]
) -> None:
    after = images(replace(plain, **change))
    found = [compared(after[kind], before[kind]) for kind in before]
    assert worst(found) is Match.OTHER


def test_what_processors_round_otherwise_is_alike(before: Images) -> None:
    rng = np.random.default_rng(0)
    for voxels in before.values():
        rounded = voxels.astype(np.float64)
        at = rng.choice(voxels.size, max(1, voxels.size // 20_000), replace=False)
        rounded.flat[at] += rng.choice([-1, 1], at.size)
        assert compared(rounded, voxels) is Match.ALIKE


def test_a_lesion_of_a_centimetre_is_refused(before: Images) -> None:
    for voxels in before.values():
        ill = voxels.copy()
        middle = tuple(slice(size // 2, size // 2 + 3) for size in voxels.shape)
        ill[middle] += 60
        assert compared(ill, voxels) is Match.OTHER


def test_the_same_hash_needs_no_signature() -> None:
    assert match("a", [], listed="a", expected=[1.0]) is Match.EXACT
    assert match("a", [], listed="b", expected=[1.0]) is Match.OTHER
    assert worst([]) is Match.EXACT
    assert worst([Match.EXACT, Match.ALIKE]) is Match.ALIKE
