"""The baseline learns from the translator's own examples, and answers on the MRI's own grid."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.baseline import BaselineConfig, train_unet
from benchmarks.data import T1
from benchmarks.unet import UNetConfig, load_unet, unet_loss
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.phantom.procedural import procedural_head
from medgen.tasks.translator.examples import Examples
from medgen.tasks.translator.translator import CT

UNET = UNetConfig(features=(4, 4, 4, 4, 4, 4))


@pytest.fixture(scope="module")
def examples() -> Examples:
    head = procedural_head(torch.Generator().manual_seed(0), spacing=4.0)
    return Examples([head], [], replace(BaselineConfig().examples, patch=32), seed=0, slots=1)


def test_only_one_mri_to_ct_is_asked(examples: Examples) -> None:
    for item in map(examples, range(6)):
        assert item.kind == CT
        assert item.present.tolist() == [0, 1]
        assert item.time == 1


def test_the_loss_is_the_mean_absolute_error_in_kilo_hu(examples: Examples) -> None:
    class Zero(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = torch.nn.Parameter(torch.zeros(()))

        def forward(self, source: torch.Tensor) -> torch.Tensor:
            return source * 0 + self.one

    item = examples(0)
    hu = item.target * 4095 / 2  # 0 in [-1, 1] is the middle of the window
    expected = (hu.abs() * item.weight).sum() / item.weight.sum() / 1000
    assert unet_loss(Zero(), [item])["total"].item() == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.slow
def test_it_trains_is_saved_and_predicts(examples: Examples, tmp_path: Path) -> None:
    plain = BaselineConfig(unet=UNET)
    config = replace(plain, fit=replace(plain.fit, steps=4, batch=1))
    steps = [progress.step for progress in train_unet(examples, config, 60, tmp_path)]
    assert steps == [1, 2, 3, 4, 1]  # a quarter as many while the learning rate falls
    unet = load_unet(tmp_path / "model", torch.device("cpu"))
    assert unet.card.steps == 5
    voxels = np.random.default_rng(0).uniform(50, 100, (30, 25, 9)).astype(np.float32)
    image = MedicalImage(voxels, Geometry(np.diag([-1.0, 1.2, 4.0, 1.0])), T1)
    hu = unet.predict(image)
    assert hu.shape == voxels.shape
    assert -1024 <= hu.min() <= hu.max() <= 3071
