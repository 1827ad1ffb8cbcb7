"""Denormal numbers are 0 inside, and what they were outside."""

import pytest
import torch

from medgen.tasks.denormals import DENORMAL, flushed_denormals


def is_flushed() -> bool:
    return bool(torch.tensor(DENORMAL) * 1 == 0)


@pytest.mark.parametrize("before", [False, True])
def test_the_process_is_left_as_it_was(before: bool) -> None:
    was = is_flushed()
    if not torch.set_flush_denormal(before):
        pytest.skip("this processor cannot flush denormals")
    try:
        with flushed_denormals():
            assert is_flushed()
        assert is_flushed() is before
    finally:
        torch.set_flush_denormal(was)
