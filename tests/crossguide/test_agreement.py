"""Environments of one study agree: nothing is lost where they do, ln N where they are all alike."""

import math

import pytest
import torch

from medgen.crossguide.agreement import agreement_losses
from medgen.crossguide.environment import Environment

SCALE = torch.tensor(1 / 0.07)


def told(rows: torch.Tensor) -> Environment:
    return Environment(rows[:, None], torch.nn.functional.normalize(rows, dim=1))


def test_golden_values() -> None:
    """PAPERS, golden check 1."""
    groups = torch.arange(8)
    apart, alike = told(torch.eye(8)), told(torch.ones(8, 8))
    (same,) = agreement_losses({"xray": apart, "text": apart}, SCALE, groups).values()
    assert float(same) == pytest.approx(math.log1p(7 * math.exp(-1 / 0.07)), rel=0.1)
    losses = agreement_losses({"xray": alike, "text": alike}, SCALE, groups)
    assert list(losses) == ["text-xray"]
    assert float(losses["text-xray"]) == pytest.approx(math.log(8), abs=1e-5)


def test_studies_that_say_the_same_are_not_held_apart() -> None:
    alike = told(torch.ones(4, 8))
    losses = agreement_losses({"a": alike, "b": alike}, SCALE, torch.zeros(4, dtype=torch.long))
    assert float(losses["a-b"]) == pytest.approx(0, abs=1e-6)
