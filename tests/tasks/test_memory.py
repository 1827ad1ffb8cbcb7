"""Freed memory is kept where it is needed again, and given back where it is not."""

import subprocess
import sys
from pathlib import Path

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


STEPS = """
import resource, sys
from pathlib import Path
import torch
from medgen.tasks.fitting.fit import fit
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.memory import give_back_large_arrays
give_back_large_arrays()
faults = []
def loss(network, items):
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    return {"total": (network.weight * torch.ones(4_000_000)).square().mean()}
config = FitConfig(steps=60, batch=1, device="cpu", log_every=100)  # at first the heap still grows
for _ in fit(torch.nn.Linear(1, 1), lambda number: number, loss, config, Path(sys.argv[1])):
    pass
print(faults[-1] - faults[-9])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_a_training_keeps_what_a_reader_gave_back(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STEPS, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 4 * 3906  # pages of an array; eight steps take three each otherwise


HOLES = """
import torch
from medgen.tasks.memory import give_back_large_arrays
assert give_back_large_arrays()
torch.ones(4_000_000)
kept = []
for number in range(100):
    whole = [torch.ones(1_000_000 + 18_000 * number * each) for each in range(3)]
    kept.append(whole[0][:700_000].half())
    del whole
print(int(open("/proc/self/statm").read().split()[1]) * 4096)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_what_is_kept_of_many_arrays_leaves_no_holes() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 600e6  # of which torch is 230 and 140 are kept; a gigabyte otherwise
