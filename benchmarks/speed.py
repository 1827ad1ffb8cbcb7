"""How long a cold start takes and how much memory it needs, measured from outside."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.data import T1
from benchmarks.machine import commit, today
from benchmarks.rows import Row, Store
from medgen.data.body import body_of
from medgen.data.resample import Grid, resample
from medgen.errors import MedgenError
from medgen.io import files
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance

SIZES = (128, 192, 256)  # voxels a side, 1 mm
REPEATS = 3
HELP = "help"


@dataclass(frozen=True)
class Usage:
    """What one process used: wall time, and the most memory it held at once."""

    seconds: float
    peak_gb: float


# Started from here, a process would be charged with this one's memory (Linux keeps the larger of
# the two across exec), so a small one in between starts it and counts.
LAUNCHER = """
import json, os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
seconds = time.perf_counter() - started
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, used.ru_maxrss]))
"""


def usage_of(command: Sequence[str], *, threads: int) -> Usage:
    """Run a command in a new process.

    Raises:
        MedgenError: If it fails, with the last line it wrote.
    """
    variables = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    line = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    done = subprocess.run(line, env=variables, capture_output=True, text=True, check=True)
    code, seconds, kib = json.loads(done.stdout)
    if code:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise MedgenError(f"{' '.join(command)}: ended with {code}: {last[0]}")
    return Usage(seconds, kib * 1024 / 1e9)


def head_cube(image: MedicalImage, size: int) -> MedicalImage:
    """A head scaled to fill a cube of `size` mm, 1 mm voxels: as much patient at every size."""
    index = np.argwhere(body_of(image))
    low, high = index.min(0), index.max(0) + 1
    extent = ((high - low) * np.array(image.geometry.spacing)).max()
    affine = image.geometry.affine.copy()
    affine[:3, :3] *= extent / size / np.array(image.geometry.spacing)
    middle = image.geometry.affine @ np.append((low + high - 1) / 2, 1)
    affine[:3, 3] = middle[:3] - affine[:3, :3] @ np.full(3, (size - 1) / 2)
    grid = Grid((size,) * 3, Geometry(affine))
    voxels = resample(image.voxels, image.geometry, grid, fill=float(image.voxels.min()))
    one_mm = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    centred = np.eye(4)
    centred[:3, :3] = one_mm
    centred[:3, 3] = -one_mm @ np.full(3, (size - 1) / 2)
    return MedicalImage(voxels, Geometry(centred), T1)


@dataclass(frozen=True)
class SpeedConfig:
    """How speed is measured."""

    model: str = "base"
    sizes: tuple[int, ...] = SIZES
    repeats: int = REPEATS
    threads: int = 2


def speeds(head: Callable[[], Path], key: str, store: Store, config: SpeedConfig) -> Iterator[Row]:
    """Yield the row of every size, and of `medgen --help`.

    Args:
        head: Finds the T1 head to scale.
        key: Of the model's weights.
        store: Keeps the rows, and gets the images.
        config: Sizes, repeats and threads.
    """
    key = f"{key}-{config.threads}x{config.repeats}"
    for size in config.sizes:
        path = store.path("speed", "regress", key, str(size))
        if row := store.row(path, partial(_translation, head, size, store, config)):
            yield row
    path = store.path("speed", HELP, key, HELP)
    if row := store.row(path, partial(_help, config)):
        yield row


def _translation(head: Callable[[], Path], size: int, store: Store, config: SpeedConfig) -> Row:
    source, out = (store.folder / "speed" / f"{word}-{size}.nii.gz" for word in ("t1", "ct"))
    if not source.is_file():
        cube = head_cube(files.read(head()), size)
        source.parent.mkdir(parents=True, exist_ok=True)
        files.write(cube, source, provenance=Provenance("phantom", "scaled head"))
    line = [sys.executable, "-m", "medgen", "translate", str(source), "--from", "mri:t1"]
    line += ["--to", "ct", "-o", str(out), "--overwrite", "--force", "--device", "cpu"]
    line += ["--model", config.model]
    return _row(str(size), line, config, voxels=size**3)


def _help(config: SpeedConfig) -> Row:
    return _row(HELP, [sys.executable, "-m", "medgen", "--help"], config)


def _row(subject: str, line: list[str], config: SpeedConfig, *, voxels: int = 0) -> Row:
    used = [usage_of(line, threads=config.threads) for _ in range(config.repeats)]
    seconds = [each.seconds for each in used]
    scores = {
        "seconds": statistics.median(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
        "peak_gb": max(each.peak_gb for each in used),
    }
    if voxels:
        scores["microseconds_a_voxel"] = scores["seconds"] / voxels * 1e6
    return Row("speed", subject, "", "", "regress", scores, sum(seconds), commit(), today())
