"""Disease of the brain has the side, place, size and volume that its fact states."""

import math

import pytest
import torch
from torch import Generator

from medgen.finding import Side
from medgen.phantom import head_disease as disease
from medgen.phantom.head_disease import BRAIN, REGIONS, Head
from medgen.phantom.render import Overlay
from medgen.phantom.tissue import Tissue
from tests.phantom.toy_head import SPACING, VENTRICLE_MM, toy_head, toy_tissue

VOXEL_ML = SPACING**3 / 1000
SIDES = [Side.LEFT, Side.RIGHT]


def spread(overlay: Overlay) -> torch.Tensor:
    share = torch.zeros(64, 64, 64)
    share[overlay.box] = overlay.share
    return share


def middle(share: torch.Tensor) -> torch.Tensor:
    """Centre of mass relative to the head's, mm."""
    axis = (torch.arange(64) - 31.5) * SPACING
    total = share.sum()
    return torch.stack(
        [(share.sum([b for b in range(3) if b != a]) * axis).sum() / total for a in range(3)]
    )


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("region", REGIONS)
def test_regions_lie_where_anatomy_says(side: Side, region: str) -> None:
    found = toy_head().region(side, region)
    share = torch.zeros(64, 64, 64)
    share[toy_head().brain.box] = found.float()
    x, y, z = middle(share)
    assert (x > 5) if side is Side.RIGHT else (x < -5)
    assert found.any()
    if region == "frontal":
        assert y > 20
    if region in ("occipital", "cerebellum"):
        assert y < -15
    if region == "parietal":
        assert z > 30
    if region in ("temporal", "cerebellum"):
        assert z < -10


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", [15.0, 30.0])
def test_blood_is_a_ball_of_its_diameter(side: Side, size: float) -> None:
    volumes = []
    for seed in range(8):
        generator = Generator().manual_seed(seed)
        found = disease.haemorrhage(toy_head(), side, "basal_ganglia", size, generator)
        _, blood = found.overlays
        (fact,) = found.facts
        assert blood.tissue is Tissue.HAEMATOMA
        assert (middle(spread(blood))[0] > 0) == (side is Side.RIGHT)
        measured = float(spread(blood).sum()) * VOXEL_ML
        assert fact.measures["volume_ml"] == pytest.approx(measured, rel=1e-4)
        assert (fact.finding.side, fact.finding.size_mm) == (side, size)
        volumes.append(measured)
    assert sum(volumes) / 8 == pytest.approx(math.pi / 6 * size**3 / 1000, rel=0.2)


@pytest.mark.parametrize(
    ("volume", "severity"), [(5.0, "small"), (30.0, "moderate"), (90.0, "large")]
)
def test_an_infarct_has_its_volume(volume: float, severity: str) -> None:
    generator = Generator().manual_seed(2)
    found = disease.infarct(toy_head(), Side.LEFT, "parietal", volume, generator)
    (overlay,), (fact,) = found.overlays, found.facts
    assert fact.measures["volume_ml"] == pytest.approx(volume, rel=0.12)
    assert fact.finding.severity == severity
    assert 0.2 <= float(overlay.share.max()) <= 0.55
    assert not spread(overlay)[toy_tissue() == int(Tissue.CORTICAL_BONE)].any()


def test_an_infarct_takes_4_to_12_hu() -> None:
    generator = Generator().manual_seed(0)
    waters = [
        float(
            disease.infarct(toy_head(), Side.LEFT, "parietal", 20, generator)
            .overlays[0]
            .share.max()
        )
        for _ in range(20)
    ]
    brain = (38 + 29) / 2  # HU of grey and white matter
    losses = [share * (brain - 14) for share in waters]
    assert 3 < min(losses) < max(losses) < 12.5


def test_oedema_of_a_tumour_keeps_to_white_matter() -> None:
    generator = Generator().manual_seed(0)
    head = toy_head()
    found = disease.tumour(head, Side.RIGHT, "frontal", 20, 8, generator)
    oedema, mass = found.overlays
    assert not spread(oedema)[head.tissue != int(Tissue.WHITE_MATTER)].any()
    assert [fact.finding.name for fact in found.facts] == ["brain_mass", "brain_oedema"]
    assert mass.tissue is Tissue.TUMOUR
    alone = disease.tumour(head, Side.RIGHT, "frontal", 20, 0, Generator().manual_seed(0))
    assert [fact.finding.name for fact in alone.facts] == ["brain_mass"]


@pytest.mark.parametrize("growth", [6.0, 9.0])
def test_ventricles_grow_by_that_much(growth: float) -> None:
    found = disease.ventriculomegaly(toy_head(), growth)
    shell = 4 / 3 * math.pi * ((VENTRICLE_MM + growth) ** 3 - VENTRICLE_MM**3) / 1000
    assert found.facts[0].measures["volume_ml"] == pytest.approx(shell, rel=0.25)
    assert found.overlays[0].tissue is Tissue.CSF


def test_atrophy_is_at_the_surface() -> None:
    share = spread(disease.atrophy(toy_head(), 2.0).overlays[0])
    r = ((torch.arange(64) - 31.5) * SPACING).square()
    radius = (r[:, None, None] + r[None, :, None] + r[None, None]).sqrt()
    assert share.any()
    assert not share[radius < 66].any()


@pytest.mark.parametrize("side", SIDES)
def test_the_midline_is_pushed_away(side: Side) -> None:
    head = toy_head()
    tissue, fact = disease.shifted(head, side, 9.0)
    before, after = (
        middle(((each == int(Tissue.CSF)) & _core()).float()) for each in (head.tissue, tissue)
    )
    moved = float(after[0] - before[0])
    assert moved == pytest.approx(9.0 if side is Side.LEFT else -9.0, abs=1.6)
    outside = ~torch.isin(head.tissue, torch.tensor([*BRAIN, Tissue.CSF], dtype=torch.uint8))
    assert torch.equal(tissue[outside], head.tissue[outside])
    assert fact.finding.size_mm == 9.0


def _core() -> torch.Tensor:
    axis = (torch.arange(64) - 31.5).abs() * SPACING
    return (axis[:, None, None] < 40) & (axis[None, :, None] < 40) & (axis[None, None] < 40)


def test_the_cord_is_no_part_of_the_brain() -> None:
    tissue = toy_tissue()
    tissue[30:34, 30:34, :6] = int(Tissue.WHITE_MATTER)
    assert Head.of(tissue, SPACING).brain.corner == toy_head().brain.corner


def test_a_head_without_a_brain_says_so() -> None:
    with pytest.raises(ValueError, match="no such organ"):
        Head.of(torch.zeros(8, 8, 8, dtype=torch.uint8), SPACING)
