"""Masks lie where the disease is, in the volume and in the radiograph's shadow of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from medgen.data.manifest import read_manifest
from medgen.finding import Finding, Side
from medgen.io import files
from medgen.phantom.chest_study import CT, XRAY, ChestConfig, simulate_chest
from medgen.phantom.fact import Fact
from medgen.phantom.mask import SHADE_MM, masks_of, shaded
from medgen.phantom.projection import Beam
from medgen.phantom.render import Overlay
from medgen.phantom.study import SimulatedStudy
from medgen.phantom.tissue import Tissue
from medgen.tasks.phantom import PhantomConfig, simulate


def overlay(corner: tuple[int, int, int], strength: float) -> Overlay:
    share = torch.full((2, 2, 2), strength)
    share[0] *= 0.2
    return Overlay(Tissue.FLUID, share, corner)


def test_a_mask_holds_what_is_strong_for_its_disease() -> None:
    faint, full = overlay((0, 0, 0), 0.1), overlay((4, 4, 4), 1.0)
    facts = [
        Fact(Finding("pleural_effusion", side=Side.LEFT), where=(faint,)),
        Fact(Finding("pleural_effusion", side=Side.RIGHT), where=(full,)),
        Fact(Finding("midline_shift")),
    ]
    masks = masks_of(facts, torch.zeros(6, 6, 6, dtype=torch.uint8))
    assert list(masks) == ["pleural_effusion"]
    assert masks["pleural_effusion"].sum() == 8
    assert masks["pleural_effusion"][1, :2, :2].all()
    assert masks["pleural_effusion"][5, 4:, 4:].all()


def test_the_shadow_of_a_ball_is_a_disc_magnified() -> None:
    axis = torch.arange(48) - 23.5
    off = axis[:, None, None].square() + axis[:, None].square() + axis.square()
    beam = Beam("pa", source_mm=1000, gap_mm=200)
    disc = shaded(off < 15**2, (2.0, 2.0, 2.0), beam, 1.0)
    magnification = 1000 / (1000 - 200 - 48)
    radius = magnification * np.sqrt(30**2 - (SHADE_MM / 2) ** 2)
    assert float(disc.sum()) == pytest.approx(np.pi * radius**2, rel=0.12)  # coarse pixels
    rows, columns = disc.nonzero().float().mean(0).tolist()
    assert (rows, columns) == pytest.approx([(size - 1) / 2 for size in disc.shape], abs=0.6)


@pytest.fixture(scope="module")
def study() -> SimulatedStudy:
    return simulate_chest(ChestConfig(seed=5, spacing=4.0, masks=True), 0)


def test_a_chest_has_each_mask_on_both_grids(study: SimulatedStudy) -> None:
    present = {each["name"] for each in study.facts["findings"] if each["presence"] == "present"}
    assert set(study.masks) == present
    assert study.images[CT].geometry.spacing == (4.0, 4.0, 4.0)
    for volume, picture in study.masks.values():
        assert volume.voxels.shape == study.images[CT].voxels.shape
        assert np.allclose(volume.geometry.affine, study.images[CT].geometry.affine)
        assert picture.voxels.shape == study.images[XRAY].voxels.shape
    plain = simulate_chest(ChestConfig(seed=5, spacing=4.0, kinds=(XRAY,)), 0)
    assert np.array_equal(plain.images[XRAY].voxels, study.images[XRAY].voxels)
    assert not plain.masks


def test_fluid_is_denser_than_the_lung_around_it(study: SimulatedStudy) -> None:
    hu = study.images[CT].voxels[study.masks["pleural_effusion"][0].voxels > 0]
    assert np.median(hu) == pytest.approx(10, abs=25)


def test_studies_are_written_with_their_masks(tmp_path: Path) -> None:
    config = PhantomConfig(2, study=ChestConfig(seed=5, spacing=2.5, masks=True, ill=1.0))
    written = list(simulate(config, tmp_path / "out"))
    listed = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert [study.masks for study in listed] == [one.study.masks for one in written]
    for study in listed:
        assert study.masks is not None
        facts = json.loads((study.masks.parent / "findings.json").read_text())["findings"]
        names = {each["name"] for each in facts if each["presence"] == "present"}
        assert {path.name.partition(".")[0] for path in study.masks.iterdir()} == names
        for path in study.masks.glob("*.nii.gz"):
            assert set(np.unique(files.read(path).voxels)) == {0, 1}
