"""What lies in the directions of the training images is usual; all else is foreign."""

import pytest
import torch

from medgen.modality import Modality
from medgen.tasks.finder.usual import SIDES, Usual

SIDE = SIDES[2]


@pytest.fixture
def views() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(3, 1, SIDE, SIDE, generator=generator)
    weights = torch.randn(40, 3, 1, 1, 1, generator=generator)
    return list((weights * basis).sum(1))


@pytest.fixture
def usual(views: list[torch.Tensor]) -> Usual:
    found = Usual(Modality.XRAY)
    found.learn(views)
    return found


def test_an_image_of_training_is_not_foreign_however_it_is_lit(
    usual: Usual, views: list[torch.Tensor]
) -> None:
    assert usual.foreign(views[0]) == pytest.approx(0.0, abs=1e-4)
    assert usual.foreign(3 * views[0] + 7) == pytest.approx(0.0, abs=1e-4)


def test_noise_is_foreign(usual: Usual) -> None:
    noise = torch.randn(1, SIDE, SIDE, generator=torch.Generator().manual_seed(9))
    assert usual.foreign(noise) > 0.9
