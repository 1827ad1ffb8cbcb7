"""Disease has the volume, size, place and tissue that its fact states."""

import math

import pytest
import torch
from torch import Generator

from medgen.finding import Presence, Side
from medgen.phantom import chest_disease as disease
from medgen.phantom.chest import Chest
from medgen.phantom.fact import Disease
from medgen.phantom.part import LOBES, LUNGS, Part
from medgen.phantom.render import Overlay
from medgen.phantom.tissue import Tissue
from tests.phantom.toy_chest import SPACING, toy_chest

VOXEL_ML = SPACING**3 / 1000


def spread(chest: Chest, overlay: Overlay) -> torch.Tensor:
    """The overlay's share in every voxel of the body."""
    share = torch.zeros(chest.tissue.shape)
    share[overlay.box] = overlay.share
    return share


def of_tissue(found: Disease, tissue: Tissue) -> Overlay:
    (overlay,) = [each for each in found.overlays if each.tissue is tissue]
    return overlay


def in_lung(chest: Chest, side: Side) -> torch.Tensor:
    return torch.isin(chest.part, torch.tensor(LUNGS[side], dtype=torch.uint8))


@pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT])
@pytest.mark.parametrize("volume", [50.0, 250.0, 500.0, 790.0])
def test_an_effusion_has_its_volume_on_its_side(side: Side, volume: float) -> None:
    chest = toy_chest()
    found = disease.effusion(chest, side, volume)
    share = spread(chest, of_tissue(found, Tissue.FLUID))
    measured = float(share.sum()) * VOXEL_ML
    (fact,) = found.facts
    assert fact.measures["volume_ml"] == pytest.approx(measured, rel=1e-5)
    assert measured == pytest.approx(volume, rel=0.1)
    assert not share[~in_lung(chest, side)].any()
    assert fact.finding.side is side
    expected = "small" if measured < 300 else "moderate" if measured < 800 else "large"
    assert fact.finding.severity == expected


def test_fluid_never_fills_the_whole_lung() -> None:
    chest = toy_chest()
    found = disease.effusion(chest, Side.LEFT, 1e6)
    share = spread(chest, of_tissue(found, Tissue.FLUID))
    assert share.sum() < 0.9 * in_lung(chest, Side.LEFT).sum()


@pytest.mark.parametrize(("is_upright", "axis"), [(True, 2), (False, 1)])
def test_fluid_sinks_and_climbs_the_wall(is_upright: bool, axis: int) -> None:
    chest = toy_chest(is_upright=is_upright)
    share = of_tissue(disease.effusion(chest, Side.RIGHT, 200), Tissue.FLUID).share
    others = [other for other in range(3) if other != axis]
    level = share.mean(others)
    assert (level.diff() <= 1e-6).all()
    middle = share.movedim(axis, 0)[:, share.shape[others[0]] // 2, share.shape[others[1]] // 2]
    wall = share.movedim(axis, 0)[:, 0, share.shape[others[1]] // 2]
    assert wall.sum() > middle.sum() + 3  # voxels of 4 mm


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_a_pneumothorax_is_this_share_of_its_lung(share: float) -> None:
    chest = toy_chest()
    found = disease.pneumothorax(chest, Side.LEFT, share)
    air = spread(chest, of_tissue(found, Tissue.AIR))
    lung = in_lung(chest, Side.LEFT)
    measured = float(air.sum() / lung.sum())
    (fact,) = found.facts
    assert fact.measures["share"] == pytest.approx(measured, rel=1e-5)
    assert measured == pytest.approx(share, abs=0.03)
    assert not air[~lung].any()
    upper, lower = air[:, :, 36:46].sum(), air[:, :, 6:16].sum()
    assert upper > lower  # of one who stands


@pytest.mark.parametrize("lobe", LOBES)
@pytest.mark.parametrize("make", [disease.consolidation, disease.atelectasis])
def test_disease_of_a_lobe_stays_in_it(lobe: Part, make) -> None:  # type: ignore[no-untyped-def]
    chest = toy_chest()
    found = make(chest, lobe, 0.5, Generator().manual_seed(3))
    (overlay,), (fact,) = found.overlays, found.facts
    share = spread(chest, overlay)
    where = chest.part == int(lobe)
    assert not share[~where].any()
    assert 0.3 < float(share.sum() / where.sum()) < 0.6
    assert fact.finding.region == LOBES[lobe]
    assert fact.finding.side is (Side.LEFT if "LEFT" in lobe.name else Side.RIGHT)
    assert fact.measures["volume_ml"] == pytest.approx(float(share.sum()) * VOXEL_ML, rel=1e-5)


@pytest.mark.parametrize(("size", "name"), [(12.0, "nodule"), (30.0, "nodule"), (45.0, "mass")])
def test_a_nodule_has_its_diameter(size: float, name: str) -> None:
    chest = toy_chest()
    volumes = []
    for seed in range(8):
        found = disease.nodule(chest, Part.LEFT_UPPER_LOBE, size, Generator().manual_seed(seed))
        (fact,) = found.facts
        assert fact.finding.name == name
        assert fact.finding.size_mm == round(size)
        volumes.append(fact.measures["volume_ml"])
    sphere = math.pi / 6 * size**3 / 1000
    assert sum(volumes) / 8 == pytest.approx(sphere, rel=0.2)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_emphysema_is_that_share_of_both_lungs(share: float) -> None:
    chest = toy_chest()
    found = disease.emphysema(chest, share, Generator().manual_seed(1))
    for overlay in found.overlays:
        lung = overlay.share.numel()  # the toy's lungs are boxes
        assert overlay.tissue is Tissue.AIR
        assert float((overlay.share > 0.3).sum()) / lung == pytest.approx(share, abs=0.03)


def test_oedema_is_symmetrical_about_the_middle() -> None:
    left, right = disease.oedema(toy_chest(), 0.4).overlays
    assert torch.allclose(left.share, right.share.flip(0))
    assert float(left.share.max()) <= 0.4


def test_a_broken_rib_has_a_gap() -> None:
    chest = toy_chest()
    found = disease.fracture(chest, Side.LEFT, Generator().manual_seed(0))
    gap = spread(chest, of_tissue(found, Tissue.BLOOD))
    rib = chest.part == int(Part.LEFT_RIB)
    assert gap[rib].any()
    assert not gap[~rib].any()
    assert not spread(chest, of_tissue(found, Tissue.MUSCLE))[rib].any()


@pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT])
def test_a_pacemaker_lies_on_its_side_before_the_ribs(side: Side) -> None:
    chest = toy_chest()
    box, *leads = disease.pacemaker(chest, side, Generator().manual_seed(0)).overlays
    where = spread(chest, box).nonzero().float().mean(0)
    assert (where[0] > 24) == (side is Side.RIGHT)
    assert where[1] > 24
    assert all(lead.tissue is Tissue.METAL and lead.share.max() > 0 for lead in leads)


def test_the_heart_is_measured_against_the_lungs() -> None:
    chest = toy_chest()
    ratio = 12 / 40  # 30 - 18 of 44 - 4
    fact = disease.heart_size(chest)
    assert fact is not None
    assert fact.measures["cardiothoracic_ratio"] == pytest.approx(ratio)
    assert fact.finding.presence is Presence.ABSENT
    chest.part[6:32, 14:28, 8:20] = int(Part.HEART)
    large = disease.heart_size(chest)
    assert large is not None
    assert large.finding.presence is Presence.PRESENT
    chest.part[chest.part == int(Part.HEART)] = 0
    chest.part[14:34, 14:28, 8:20] = int(Part.HEART)  # exactly half: nobody is sure
    assert disease.heart_size(chest) is None


def test_a_body_without_the_part_says_so() -> None:
    chest = toy_chest()
    chest.part[chest.part == int(Part.RIGHT_MIDDLE_LOBE)] = 0
    with pytest.raises(ValueError, match="right_middle_lobe"):
        chest.lobe(Part.RIGHT_MIDDLE_LOBE)
