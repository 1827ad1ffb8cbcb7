"""A study of a chest: CT, radiograph and report show the same patient, and the facts are true."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from medgen.errors import UsageError
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import load_phrases
from medgen.modality import Kind
from medgen.phantom.chest_radiograph import collimation
from medgen.phantom.chest_study import CT, LATERAL, TEXT, XRAY, ChestConfig, simulate_chest
from medgen.phantom.study import SimulatedStudy

COARSE = ChestConfig(seed=3, spacing=2.5)  # no finer voxels within, of which there would be more


@pytest.fixture(scope="module")
def study() -> SimulatedStudy:
    return simulate_chest(COARSE, 0)


def test_the_same_number_is_the_same_study_in_any_company(study: SimulatedStudy) -> None:
    again = simulate_chest(replace(COARSE, kinds=(CT, TEXT)), 0)
    assert np.array_equal(again.images[CT].voxels, study.images[CT].voxels)
    assert XRAY not in again.images
    assert again.report == study.report
    assert again.facts["findings"] == study.facts["findings"]


def test_images_lie_on_the_patient(study: SimulatedStudy) -> None:
    ct, xray = study.images[CT], study.images[XRAY]
    assert ct.geometry.spacing == (2.5, 2.5, 2.5)
    assert ct.geometry.orientation == "RAS"
    assert ct.voxels.min() >= -1024
    assert xray.voxels.dtype == np.uint16
    assert xray.geometry.orientation == "ILP"
    assert min(xray.voxels.shape) > 120
    assert 0.2 < xray.voxels.mean() / 4095 < 0.8
    assert json.loads(json.dumps(study.facts)) == study.facts


def test_the_report_is_true() -> None:
    phrases = load_phrases()
    for index in range(2):
        made = simulate_chest(ChestConfig(seed=9, spacing=2.5, kinds=(TEXT,)), index)
        assert made.report is not None
        true = {(f["name"], f["presence"], f.get("side")) for f in made.facts["findings"]}
        said = read_findings(made.report, phrases)
        assert said or "normal" in made.report.lower()
        for one in said:
            assert (str(one.name), str(one.presence), one.side and str(one.side)) in true


def test_what_a_chest_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match="mri:t1"):
        ChestConfig(kinds=(Kind.parse("mri:t1"),))
    with pytest.raises(UsageError, match="spacing"):
        ChestConfig(spacing=0.5)
    with pytest.raises(UsageError, match="name what to make"):
        ChestConfig(kinds=())
    with pytest.raises(UsageError, match="name xray as well"):
        ChestConfig(kinds=(TEXT, LATERAL))


@pytest.mark.slow
def test_who_stands_is_seen_from_the_side_as_well() -> None:
    config = ChestConfig(seed=5, spacing=4.0, masks=True, kinds=(XRAY, LATERAL))
    both = [simulate_chest(config, index) for index in range(8)]
    for study in both:
        assert (LATERAL in study.images) == (study.facts["posture"] == "upright")
    assert {study.facts["posture"] for study in both} == {"upright", "supine"}
    upright = next(study for study in both if study.masks and LATERAL in study.images)
    index = upright.facts["number"]
    alone = simulate_chest(ChestConfig(seed=5, spacing=4.0, masks=True, kinds=(XRAY,)), index)
    assert np.array_equal(alone.images[XRAY].voxels, upright.images[XRAY].voxels)
    side = upright.images[LATERAL]
    assert side.geometry.orientation[:2] == "IP"
    for shades in upright.masks.values():
        for shade in shades:
            assert shade.kind is not None
            assert shade.voxels.shape == upright.images[shade.kind].voxels.shape


def test_a_collimated_radiograph_keeps_the_lungs(study: SimulatedStudy) -> None:
    image = study.images[XRAY]
    rows, columns = image.voxels.shape
    lungs = (10, 20), (30, 60)  # of 40 and 80 voxels
    generator = torch.Generator().manual_seed(0)
    box = collimation((rows, columns), lungs, (40, 80), 1.0, generator)
    height, width = image.voxels[box].shape
    assert rows * 30 / 80 < height <= rows
    assert columns * 10 / 40 < width <= columns
