"""Translator and U-Net learn from the same examples for as long, and stand beside each other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.cases import Case, Loaded
from benchmarks.data import T1
from benchmarks.race import TRANSLATOR, RaceConfig, train_runner
from benchmarks.racing import races
from benchmarks.rows import Store
from benchmarks.unet import UNetConfig, load_unet, unet_loss
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.phantom.procedural import procedural_head
from medgen.tasks.translator.examples import Examples
from medgen.tasks.translator.translator import CT, TranslatorConfig

SMALL = RaceConfig(
    unet=UNetConfig(features=(4, 4, 4, 4, 4, 4)),
    translator=TranslatorConfig(mri_slots=1, widths=(4, 4)),
)


@pytest.fixture(scope="module")
def examples() -> Examples:
    head = procedural_head(torch.Generator().manual_seed(0), spacing=4.0)
    return Examples([head], [], replace(RaceConfig().examples, patch=32), seed=0, slots=1)


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
def test_both_train_as_long_and_are_measured_side_by_side(
    examples: Examples, tmp_path: Path
) -> None:
    config = replace(SMALL, fit=replace(SMALL.fit, steps=4, batch=1))
    voxels = np.random.default_rng(0).uniform(50, 100, (30, 25, 9)).astype(np.float32)
    image = MedicalImage(voxels, Geometry(np.diag([-1.0, 1.2, 4.0, 1.0])), T1)
    truth, mask = np.full(voxels.shape, 40, np.float32), np.ones(voxels.shape, bool)
    case = Case("pairs", "STS_1", T1, CT, lambda: Loaded(image, truth, mask, None))
    device, store = torch.device("cpu"), Store(tmp_path / "rows")
    for who in (TRANSLATOR, "unet"):
        assert not list(races([case], tmp_path, device, store))  # until both have arrived
        steps = [one.step for one in train_runner(who, examples, config, 60, tmp_path / who)]
        assert steps == [1, 2, 3, 4, 1]  # a quarter as many while the learning rate falls
    rows = {(row.subject, row.method): row.scores for row in races([case], tmp_path, device, store)}
    assert [rows["training", who]["steps"] for who in ("regress", "unet")] == [5, 5]
    assert rows["STS_1", "constant"]["mae"] == 0
    assert rows["STS_1", "regress"]["mae"] > 0
    unet = load_unet(tmp_path / "unet" / "model", device)
    hu = unet.predict(image)
    assert hu.shape == voxels.shape
    assert -1024 <= hu.min() <= hu.max() <= 3071
    assert rows["STS_1", "unet"]["mae"] == pytest.approx(np.abs(hu - truth).mean(), rel=1e-5)
