"""Every tissue has physical constants a textbook would accept, and every label one tissue."""

import torch

from medgen.modality import Contrast
from medgen.phantom.protocol import TYPICAL, Relaxation
from medgen.phantom.tissue import FACTS, LABELS, Tissue, column, of_each_tissue


def test_every_tissue_has_facts() -> None:
    assert set(FACTS) == set(Tissue)
    assert column("hu").shape == (len(Tissue),)


def test_no_label_is_two_tissues() -> None:
    labels = [label for group in LABELS.values() for label in group]
    assert len(labels) == len(set(labels))
    assert 0 not in labels


def test_relaxation_is_possible() -> None:
    """T2* <= T2, which is at most 2 T1; density is a share of water's."""
    for facts in FACTS.values():
        assert 0 < facts.t2_star_ms <= facts.t2_ms <= 2 * facts.t1_ms
        assert 0 <= facts.density <= 1


def test_hounsfield_units_rank_as_on_every_ct() -> None:
    ranked = (Tissue.AIR, Tissue.FAT, Tissue.CSF, Tissue.WHITE_MATTER, Tissue.GREY_MATTER)
    ranked += (Tissue.MUSCLE, Tissue.MARROW, Tissue.CORTICAL_BONE)
    values = [FACTS[tissue].hu for tissue in ranked]
    assert values == sorted(values)


def test_tissues_of_limbs_leave_the_draws_of_heads_and_chests_as_they_are() -> None:
    drawn = of_each_tissue(3, torch.Generator().manual_seed(5))
    head = torch.randn(3, 14, generator=torch.Generator().manual_seed(5))
    seed = int(head[0, 0].view(torch.int32)) & 0x7FFFFFFF
    thorax = torch.randn(3, 15, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(drawn[:, :29], torch.cat([head, thorax], dim=1))
    assert drawn[:, Tissue.SKIN].std() > 0


def test_skin_is_dark_in_every_mri_and_soft_tissue_in_ct() -> None:
    for protocol in TYPICAL.values():
        signal = protocol.signal(Relaxation.textbook())
        assert signal[Tissue.SKIN] < 0.8 * signal[Tissue.MUSCLE]
    t1 = TYPICAL[Contrast.T1].signal(Relaxation.textbook())
    assert 1 / 8 < t1[Tissue.SKIN] / t1[Tissue.FAT] < 1 / 5
    assert 0 < FACTS[Tissue.SKIN].hu < 100
