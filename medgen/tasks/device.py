"""Where to compute: what was asked for, or the best there is."""

import logging

import torch

from medgen.errors import UsageError

LOGGER = logging.getLogger(__name__)


def choose_device(word: str) -> torch.device:
    """Turn `--device` into a device that is there.

    Args:
        word: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`. Only `auto` falls back, and says so.

    Raises:
        UsageError: If the word is none of these, or the device is not there.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    if word == "auto":
        return _best()
    name, colon, number = word.partition(":")
    if name not in ("cpu", "cuda", "mps") or (
        colon and not (name == "cuda" and number.isdecimal())
    ):
        raise UsageError(f"--device {word}: write auto, cpu, cuda, cuda:N or mps")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UsageError(f"--device {word}: this machine has no MPS; use auto or cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cuda" and int(number or 0) >= count:
        raise UsageError(f"--device {word}: this machine has {count} CUDA devices; use auto or cpu")
    return torch.device(word)


def _best() -> torch.device:
    for name, is_there in [
        ("cuda", torch.cuda.is_available()),
        ("mps", torch.backends.mps.is_available()),
    ]:
        if is_there:
            return torch.device(name)
    # A build for CUDA was meant to find one; a build for the CPU was not.
    level = logging.WARNING if torch.version.cuda else logging.INFO
    LOGGER.log(level, "no GPU found; computing on the CPU")
    return torch.device("cpu")


def emulates_bf16(device: torch.device) -> bool:
    """Whether the device is a CPU without instructions for bf16, which then takes many times fp32.

    On one with AVX2 only, a convolution of bf16 takes 40 to 130 times as long.
    """
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return not torch.ops.mkldnn._is_mkldnn_bf16_supported()
