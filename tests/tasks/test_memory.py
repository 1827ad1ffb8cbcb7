"""Freed memory is kept: the same work a second time faults in no new pages."""

import subprocess
import sys

import pytest

CODE = """
import resource, sys
import numpy as np
from medgen.tasks.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def work():
    for _ in range(20):
        np.ones(2_000_000)
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", CODE, mode], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_the_second_time_no_page_is_new() -> None:
    assert faults("keep") < 500  # 20 arrays of 3906 pages each otherwise
