"""Only pairs with the text are trained, over those studies that have both sides."""

import pytest
import torch
import torch.nn.functional as F

from medgen.align.central import Given, alignment_losses, invariance_losses, met, wording_loss
from medgen.align.invariant import invariance_loss
from medgen.align.loss import alignment_loss, same_group
from medgen.modality import Modality

TEXT, XRAY, CT, MRI = Modality
SCALE = torch.tensor(10.0)
PRESENT = {
    TEXT: [True, True, True, False, True],
    XRAY: [True, False, True, True, True],
    CT: [False, False, False, True, True],
    MRI: [False, False, False, False, False],
}


def drawn(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(5, 6, generator=generator), dim=1).requires_grad_()


def embedded(first: int = 0) -> dict[Modality, Given]:
    return {
        modality: Given(drawn(first + seed), torch.tensor(PRESENT[modality]))
        for seed, modality in enumerate(Modality)
    }


def test_the_text_is_the_hub() -> None:
    assert met(Modality) == [(TEXT, XRAY), (TEXT, CT), (TEXT, MRI)]
    assert len(met(Modality, "all")) == 6
    assert met([MRI, CT]) == []


def test_a_pair_is_trained_on_the_studies_that_have_both() -> None:
    batch = embedded()
    losses = alignment_losses(batch, SCALE)
    assert list(losses) == ["text-xray", "text-ct", "text-mri"]
    rows = torch.tensor([0, 2, 4])
    expected = alignment_loss(batch[TEXT].rows[rows], batch[XRAY].rows[rows], SCALE)
    torch.testing.assert_close(losses["text-xray"], expected)
    assert losses["text-ct"].item() == 0  # one study
    assert losses["text-mri"].item() == 0  # none


def test_what_is_absent_gets_no_gradient() -> None:
    batch = embedded()
    sum(alignment_losses(batch, SCALE).values()).backward()
    for modality, given in batch.items():
        gradient = given.rows.grad
        assert gradient is not None
        absent = ~given.present | ~batch[TEXT].present
        assert not gradient[absent].any()
        assert bool(gradient.any()) == (modality in (TEXT, XRAY))


def test_groups_are_those_of_the_studies_that_are_left() -> None:
    batch, groups = embedded(), torch.tensor([3, 8, 5, 3, 3])
    rows = torch.tensor([0, 2, 4])
    expected = alignment_loss(
        *(batch[m].rows[rows] for m in (TEXT, XRAY)), SCALE, duplicates=same_group(groups[rows])
    )
    found = alignment_losses(batch, SCALE, groups=groups)["text-xray"]
    torch.testing.assert_close(found, expected)
    assert found < alignment_losses(batch, SCALE)["text-xray"]


def test_all_pairs_are_an_option() -> None:
    batch = embedded()
    losses = alignment_losses(batch, SCALE, pairs="all")
    rows = torch.tensor([3, 4])
    expected = alignment_loss(batch[XRAY].rows[rows], batch[CT].rows[rows], SCALE)
    torch.testing.assert_close(losses["xray-ct"], expected)


@pytest.mark.parametrize("weights", [{}, {"diag_weight": 0.0}])
def test_the_invariant_is_of_images_and_of_those_that_are_there(weights: dict[str, float]) -> None:
    one, other = embedded(), embedded(first=10)
    losses = invariance_losses(one, other, **weights)
    assert list(losses) == ["xray", "ct", "mri"]
    rows = torch.tensor(PRESENT[XRAY])
    expected = invariance_loss(one[XRAY].rows[rows], other[XRAY].rows[rows], **weights)
    torch.testing.assert_close(losses["xray"], expected)
    assert losses["mri"].item() == 0


def test_wrong_reports_mislead_the_images_of_their_own_study() -> None:
    batch = embedded()
    several = torch.stack([drawn(9), drawn(8)], dim=1)
    decoys = Given(several, torch.tensor([True, False, True, True, False]))
    rows = torch.tensor([0, 2, 4])
    own = several[rows] * torch.tensor([1.0, 1.0, 0.0])[:, None, None]
    expected = alignment_loss(batch[TEXT].rows[rows], batch[XRAY].rows[rows], SCALE, decoys=own)
    found = alignment_losses(batch, SCALE, decoys=decoys)["text-xray"]
    torch.testing.assert_close(found, expected)
    assert found > alignment_losses(batch, SCALE)["text-xray"]


def test_two_reports_of_a_study_are_a_pair_like_any_other() -> None:
    given = torch.tensor([True, True, True, False, True])
    one, other = (Given(drawn(seed), given) for seed in (20, 21))
    decoys = Given(drawn(22)[:, None], given)
    groups = torch.tensor([1, 2, 1, 3, 4])
    expected = alignment_loss(
        *(each.rows[given] for each in (one, other)),
        SCALE,
        duplicates=same_group(groups[given]),
        decoys=decoys.rows[given],
    )
    found = wording_loss(one, other, SCALE, groups=groups, decoys=decoys)
    torch.testing.assert_close(found, expected)
