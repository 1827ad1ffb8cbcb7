"""Every tissue has physical constants a textbook would accept, and every label one tissue."""

from medgen.phantom.tissue import FACTS, LABELS, Tissue, column


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
