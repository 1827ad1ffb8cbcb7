"""Conditions of a batch: whoever is told more does not change what another is told."""

import torch

from medgen.diffusion.conditioner import Conditioner, ConditionerConfig
from medgen.modality import Modality
from medgen.tasks.flows.conditions import Told, conditions_of, told_scan
from medgen.tasks.flows.flow import SOURCES

WIDTHS = (6, 5, 7, 7, 4)  # text, xray, ct, mri, shared


def told(source: Modality, seed: int, *, tokens: int = 3, weight: float = 1.0) -> Told:
    generator = torch.Generator().manual_seed(seed)
    width = WIDTHS[SOURCES.index(str(source))]
    context = torch.randn(tokens, width, generator=generator)
    return Told(source, context, torch.randn(1, 4, generator=generator), weight)


def conditioner() -> Conditioner:
    torch.manual_seed(0)
    return Conditioner(ConditionerConfig(WIDTHS, 8, 3, 1, 2)).eval()


def test_an_item_hears_the_same_alone_and_among_others() -> None:
    reader = conditioner()
    items = [
        [told(Modality.TEXT, 1, tokens=5)],
        [told(Modality.CT, 2), told(Modality.TEXT, 3, tokens=2), told(Modality.CT, 4, weight=0.3)],
        [told(Modality.XRAY, 5).shared],
    ]
    together = reader(conditions_of(items))
    for at, item in enumerate(items):
        torch.testing.assert_close(together[at], reader(conditions_of([item]))[0])


def test_order_means_nothing() -> None:
    reader = conditioner()
    things = [told(Modality.CT, 1), told(Modality.TEXT, 2), told(Modality.CT, 3)]
    torch.testing.assert_close(
        reader(conditions_of([things])), reader(conditions_of([things[::-1]]))
    )


def test_short_says_its_place_alone() -> None:
    (condition,) = conditions_of([[told(Modality.CT, 1).shared]])
    assert SOURCES[condition.source] == "shared"
    assert condition.tokens.shape == (1, 1, 4)


def test_weight_0_is_not_being_told() -> None:
    reader = conditioner()
    one, silent = told(Modality.TEXT, 1), told(Modality.CT, 2, weight=0.0)
    torch.testing.assert_close(
        reader(conditions_of([[one, silent]])), reader(conditions_of([[one]]))
    )


def test_a_scan_takes_nobodys_place() -> None:
    """Items that are told of more or fewer things have their scans in one condition."""
    one, other = told(Modality.CT, 1), told(Modality.TEXT, 2)
    conditions = conditions_of([[one, told_scan(2.0)], [told_scan(3.0)], [told_scan(2.0), other]])
    shared = next(each for each in conditions if SOURCES[each.source] == "shared")
    assert shared.mask.flatten().tolist() == [True, False, True]
    scans = next(each for each in conditions if SOURCES[each.source] == "scan")
    assert scans.mask.all()
