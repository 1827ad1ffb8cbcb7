"""One beam is the likeliest token each time, and so is the smallest nucleus; masks hide tokens."""

import math
from dataclasses import replace

import pytest
import torch

from medgen.latents.report import END, START
from medgen.latents.writer import Told, Writer, WriterConfig

SHAPE = WriterConfig(
    vocabulary=12, max_tokens=10, width=16, layers=1, heads=2, claims=2, regions=1, seen=8
)


@pytest.fixture
def writer() -> Writer:
    torch.manual_seed(0)
    writer = Writer(SHAPE).eval()
    torch.nn.init.normal_(writer.piece.weight)  # so that tokens differ in more than rounding
    return writer


def told(tokens: int = 3, mask: int = 3) -> Told:
    facts = torch.tensor([[2, 0]]), torch.tensor([[1, 0]]), torch.tensor([[0, 1]])
    seen = torch.randn(1, tokens, SHAPE.seen, generator=torch.Generator().manual_seed(1))
    return Told(*facts, torch.tensor([[12, 999]]), seen, torch.arange(tokens)[None] < mask)


@torch.no_grad()
def greedy(writer: Writer, of: Told) -> list[int]:
    memory, ids = writer.memory(of), [START]
    while ids[-1] != END and len(ids) < SHAPE.max_tokens:
        logits = writer.logits(*memory, torch.tensor([ids]))
        ids.append(int(logits[0, -1].argmax()))
    return ids


def test_one_beam_and_the_smallest_nucleus_are_greedy(writer: Writer) -> None:
    expected = greedy(writer, told())
    (best,) = writer.beam(told(), beams=1, longest=99, length=1.0)
    generator = torch.Generator().manual_seed(0)
    drawn = writer.sample(told(), generator, nucleus=1e-9, longest=99)
    assert best.tolist() == drawn.tolist() == expected


def test_a_report_that_broke_off_never_wins(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To go on is always likelier than to end, and yet two reports have ended by then."""
    odds = torch.full((SHAPE.vocabulary,), -20.0)
    odds[END], odds[5] = math.log(0.4), math.log(0.6)
    monkeypatch.setattr(
        Writer, "logits", lambda self, memory, mask, ids: odds.expand(*ids.shape, -1)
    )
    found = [ids.tolist() for ids in writer.beam(told(), beams=2, longest=9, length=1.0)]
    assert found == [[START, END], [START, 5, END]]
    (short,) = writer.beam(told(), beams=1, longest=2, length=1.0)
    assert short.tolist() == [START, END]


@torch.no_grad()
def test_tokens_that_are_not_there_change_nothing(writer: Writer) -> None:
    ids = torch.tensor([[START, 5, 6]])
    shown = told(5, 3)
    rest = torch.zeros_like(shown.tokens)
    other = replace(shown, tokens=torch.where(shown.mask[..., None], shown.tokens, rest))
    torch.testing.assert_close(writer(shown, ids), writer(other, ids))
