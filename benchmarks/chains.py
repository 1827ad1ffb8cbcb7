"""Run the commands of a recipe: chains of them side by side, a core each."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

AT_ONCE = 2
Line = list[str]
Chain = Sequence[Line]
"""Arguments of `python`, line after line; each needs what the one before made."""


def run_chains(chains: Sequence[Chain], at_once: int = AT_ONCE) -> int:
    """Run every chain to its end, or to its first line that fails.

    Args:
        chains: What to run.
        at_once: How many at the same time; several get one thread each.

    Returns:
        The exit code of the first chain that failed; 0 if none did.
    """
    alone = os.environ | ({"OMP_NUM_THREADS": "1"} if len(chains) > 1 else {})
    with ThreadPoolExecutor(at_once) as pool:
        codes = list(pool.map(lambda chain: _run(chain, alone), chains))
    return next((code for code in codes if code), 0)


def _run(chain: Chain, environment: dict[str, str]) -> int:
    for line in chain:
        print(shown(line), flush=True)
        if code := subprocess.run([sys.executable, *line], env=environment, check=False).returncode:
            return code
    return 0


def shown(line: Line) -> str:
    """A line as a person would type it."""
    return shlex.join(["python", *line])
