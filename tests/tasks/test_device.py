"""A device that was asked for is used or refused; only `auto` chooses."""

import logging

import pytest
import torch

from medgen.errors import UsageError
from medgen.tasks.device import choose_device, emulates_bf16


def have(monkeypatch: pytest.MonkeyPatch, *, cuda: int = 0, mps: bool = False) -> None:
    """Pretend to be a machine with these devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(2, True, "cuda"), (0, True, "mps"), (0, False, "cpu")]
)
def test_auto_takes_the_best(
    cuda: int, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(monkeypatch, cuda=cuda, mps=mps)
    assert choose_device("auto") == torch.device(expected)


def test_auto_says_when_a_build_for_cuda_finds_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    have(monkeypatch)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with caplog.at_level(logging.WARNING, "medgen"):
        choose_device("auto")
    assert "computing on the CPU" in caplog.text


@pytest.mark.parametrize("word", ["cuda", "cuda:0", "cuda:7", "mps"])
def test_an_absent_device_is_refused(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch)
    with pytest.raises(UsageError, match=f"--device {word}: this machine has"):
        choose_device(word)


def test_the_number_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, cuda=2)
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UsageError, match="2 CUDA devices"):
        choose_device("cuda:2")


@pytest.mark.parametrize("word", ["", "gpu", "cuda:", "cuda:x", "cpu:0", "meta", "CUDA"])
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match="write auto, cpu"):
        choose_device(word)


@pytest.mark.parametrize("has_it", [True, False])
def test_only_a_cpu_without_instructions_for_it_emulates_bf16(
    has_it: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has_it)
    assert emulates_bf16(torch.device("cpu")) is not has_it
    assert not emulates_bf16(torch.device("meta"))
