"""On what, with what and when it was measured."""

import datetime
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import torch

from medgen import __version__

ROOT = Path(__file__).parent.parent


@cache
def commit() -> str:
    """The commit of this code, with `-dirty` where files differ from it; empty without git."""
    line = ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    try:
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout[
            :-1
        ]
    except (OSError, subprocess.CalledProcessError):
        return ""


def today() -> str:
    """The date, ISO."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def machine(device: str) -> dict[str, Any]:
    """The machine and the libraries that decide speed and rounding; no host name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    gpu = torch.cuda.get_device_name() if device.startswith("cuda") else ""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(memory / 1e9, 1),
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "medgen": __version__,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
