"""What a flow is told in training: any subset, now and then nothing, always the same by number."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from medgen.diffusion.process import RectifiedFlow
from medgen.encoders.text import TextEncoder, TextEncoderConfig
from medgen.encoders.tokenizer import train_tokenizer
from medgen.errors import UsageError
from medgen.modality import Modality
from medgen.shapes import Latent, Time
from medgen.tasks.flows.conditions import Told
from medgen.tasks.flows.flow import Flow, FlowConfig
from medgen.tasks.flows.items import FlowItem, FlowItems, FlowLoss, FlowStudy, TimesConfig

LATENT = torch.zeros(2, 4, 4).half()
SEEN = Told(Modality.CT, torch.ones(3, 5), torch.ones(1, 4))
STUDY = FlowStudy([LATENT], ["one", "other"], {Modality.CT: [SEEN], Modality.MRI: [SEEN]})


def test_every_subset_is_as_likely_and_nothing_has_its_share() -> None:
    items = FlowItems([STUDY], drop=0.2, short=0.0, seed=3)
    subsets = Counter()
    for number in range(2000):
        item = items(number)
        subsets[bool(item.text), len(item.seen)] += 1
    nothing = subsets.pop((False, 0))
    assert 0.17 < nothing / 2000 < 0.23
    # Seven subsets of three: of the two images, one is left out in two ways.
    for (_, images), count in subsets.items():
        assert 0.7 < count / (1600 / 7 * (2 if images == 1 else 1)) < 1.3


def test_told_nothing_is_the_empty_text() -> None:
    item = FlowItems([STUDY], drop=1.0, short=1.0, seed=3)(0)
    assert item.text == ""
    assert not item.seen
    assert not item.is_short


def test_short_leaves_the_place_alone() -> None:
    items = [FlowItems([STUDY], drop=0.0, short=1.0, seed=3)(number) for number in range(20)]
    assert all(not len(one.context) for item in items for one in item.seen)
    assert all(item.is_short for item in items if item.text)


def test_an_item_is_its_number() -> None:
    items = FlowItems([STUDY], drop=0.1, short=0.2, seed=3)
    items(4)
    one, again, other = items(7), items(7), items(8)
    assert torch.equal(one.noise, again.noise)
    assert (one.time, one.text) == (again.time, again.text)
    assert not torch.equal(one.noise, other.noise)


def test_cells_that_the_text_speaks_of_count_more() -> None:
    class Still(Flow):
        """Predicts nothing, so that the squared error is that of the target."""

        def forward(self, noisy: Latent, time: Time, conditions: object) -> Latent:
            return self.zero * noisy

        def __init__(self) -> None:
            torch.nn.Module.__init__(self)
            self.config, self.process = FlowConfig(), RectifiedFlow()
            self.zero = torch.nn.Parameter(torch.zeros(()))

    clean, noise = torch.ones(2, 4, 4), torch.zeros(2, 4, 4)
    found = torch.zeros(4, 4)
    found[1, 2] = 1
    items = [FlowItem(clean, noise, 0.5, None, [SEEN], found=one) for one in (found, None)]
    reader = TextEncoder(TextEncoderConfig(vocabulary=300, width=16, layers=1, heads=2))
    tokenizer = train_tokenizer(["mass", "no mass"], 300)
    losses = FlowLoss(reader, tokenizer, focus=8.0)(Still(), items)
    # Of two images with sixteen cells each, one cell counts nine times.
    assert float(losses["total"].detach()) == pytest.approx(1 + 8 / 32)
    assert float(losses["middle"]) == pytest.approx(1)


def test_only_who_hears_the_text_is_told_where() -> None:
    study = replace(STUDY, found=[torch.ones(4, 4).half()])
    for number in range(50):
        item = FlowItems([study], drop=0.2, short=0.2, seed=3)(number)
        assert (item.found is not None) == bool(item.text)


def test_times_are_as_noisy_as_asked() -> None:
    noisy = FlowItems([STUDY], 0.1, 0.0, 3, TimesConfig(mean=2.0, deviation=0.5))
    logits = torch.tensor([noisy(number).time for number in range(400)]).logit()
    assert float(logits.mean()) == pytest.approx(2.0, abs=0.1)
    assert float(logits.std()) == pytest.approx(0.5, abs=0.1)
    with pytest.raises(UsageError, match=r"times\.deviation 0: choose a number above 0"):
        TimesConfig(deviation=0.0)
