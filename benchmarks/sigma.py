"""Is sigma honest? The share of voxels within two sigma, on patients that did not calibrate it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from benchmarks.cases import Case
from benchmarks.machine import commit, today
from benchmarks.methods import Method
from benchmarks.rows import Row, Store
from medgen.metrics.calibration import Calibration, coverage


def kept_errors(path: Path) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Error and spread of a case's voxels, as `rows.keep_errors` wrote them."""
    with np.load(path, allow_pickle=False) as found:
        return found["error"], found["spread"]


def coverages(
    cases: Iterable[Case], method: Method, calibration: Calibration, store: Store
) -> Iterator[Row]:
    """Yield the coverage of every case whose samples were measured."""
    for case in cases:
        path = store.path(case.part, method.name, method.key, case.name).with_suffix(".npz")
        if not path.is_file():
            continue
        error, spread = kept_errors(path)
        sigma = calibration.sigma(spread)
        scores = {
            "coverage": coverage(error, sigma),
            "sigma": float(sigma.mean()),
            "mae": float(np.abs(error).mean()),
        }
        yield Row(
            f"sigma-{case.part}",
            case.subject,
            str(case.source),
            str(case.target),
            method.name,
            scores,
            0.0,
            commit(),
            today(),
        )
