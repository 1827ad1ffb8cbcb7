"""The judge: what is true of a study, how it is examined, and that it is the one that was fixed."""

import hashlib

import numpy as np
import pytest
import torch

from benchmarks.judge import CLAIMS, WEIGHTS, Judge, claims_of, load_judge, train_judge, verdicts

FIXED = "ba2a8446db1c0579e3709eb88030b0e7b05e2be049d71d46edaa83feed17084e"


def test_it_is_the_one_that_was_fixed_before_the_flows_were_trained() -> None:
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() == FIXED
    assert isinstance(load_judge(), Judge)


def test_claims_are_what_is_present() -> None:
    facts = {
        "findings": [
            {"name": "pneumothorax", "presence": "absent"},
            {"name": "mass", "presence": "present", "side": "both"},
            {"name": "device", "presence": "present", "side": "left"},
            {"name": "cardiomegaly", "presence": "present"},
        ]
    }
    there = {claim for claim, is_there in zip(CLAIMS, claims_of(facts), strict=True) if is_there}
    assert there == {
        ("mass", "left"),
        ("mass", "right"),
        ("device", "left"),
        ("cardiomegaly", None),
    }


def test_the_examination_is_right() -> None:
    """A judge whose answer is the first pixel knows what that pixel says, and nothing else."""

    class Seer(Judge):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels[:, 0, 0, :1].expand(-1, len(CLAIMS))

    generator = np.random.default_rng(0)
    truths = generator.random((200, len(CLAIMS))) < 0.5
    pixels = torch.zeros(200, 1, 96, 96)
    pixels[:, 0, 0, 0] = torch.from_numpy(2.0 * truths[:, 0] - 1)
    first, *others = verdicts(Seer(), pixels, truths)
    assert (first.accuracy, first.auc) == (1, 1)
    assert first.is_sure
    assert 0.3 < float(np.mean([one.accuracy for one in others])) < 0.7
    assert not any(one.is_sure for one in others)


@pytest.mark.slow
@pytest.mark.parametrize("side", [0, 1])
def test_it_learns_left_from_right(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.judge.EPOCHS", 4)
    truths = np.zeros((64, len(CLAIMS)), bool)
    truths[side::2, 0], truths[1 - side :: 2, 1] = True, True
    pixels = torch.full((64, 1, 96, 96), -0.5)
    pixels[0::2, :, 60:90, 10:40], pixels[1::2, :, 60:90, 56:86] = 0.8, 0.8
    left, right, *_ = verdicts(train_judge(pixels, truths), pixels, truths)
    assert left.auc > 0.95
    assert right.auc > 0.95
