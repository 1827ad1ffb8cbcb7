"""One row a case and method, measured once and kept: a stopped run goes on where it was."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import Case, Loaded
from benchmarks.heldout import VERSION
from benchmarks.machine import commit, today
from benchmarks.methods import Method, Prediction
from medgen.io.atomic import atomic_file
from medgen.metrics.fidelity import PERCENTILES
from medgen.metrics.synthrad import mae
from medgen.modality import AIR_HU, Kind
from medgen.tasks.evaluate import score
from medgen.tasks.translator.translator import CT

Scores = Mapping[str, float]
"""Figures by name."""

ERRORS_KEPT = 300_000  # voxels of a case: coverage is then known to 0.001


def key_of(*hashes: str) -> str:
    """What a figure rests on, of the SHA-256 of all that it rests on."""
    return "".join(one[:4] for one in hashes)


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        part: Which table it belongs to.
        subject: The patient.
        source: What it was made from; empty where nothing was translated.
        target: What was made.
        method: Who made it.
        scores: Figures by name; NaN where one does not apply.
        seconds: Time of the translation.
        commit: Of the code that measured it.
        date: Of the measurement, ISO.
    """

    part: str
    subject: str
    source: str
    target: str
    method: str
    scores: dict[str, float]
    seconds: float
    commit: str
    date: str


def scores_in(rows: Sequence[Row], subject: str, method: str) -> Scores:
    """The scores of a row; none where it was not measured."""
    return next((r.scores for r in rows if (r.subject, r.method) == (subject, method)), {})


@dataclass(frozen=True)
class Store:
    """Where rows are kept, by part, method, key and case.

    Attributes:
        folder: Of the benchmark's output.
        measures: Whether what is missing is measured; otherwise it stays missing.
    """

    folder: Path
    measures: bool = True

    def path(self, part: str, method: str, key: str, name: str) -> Path:
        """The file of a row; another version of the held-out studies has other files."""
        group = f"{method}-{key}".replace(" ", "_")
        return self.folder / f"rows-{VERSION}" / part / group / f"{name}.json"

    def read(self, path: Path) -> Row | None:
        """A row that is kept; None if it has to be measured."""
        if not path.is_file():
            return None
        values = json.loads(path.read_text(encoding="utf-8"))
        scores = {k: float("nan") if v is None else v for k, v in values["scores"].items()}
        return Row(**values | {"scores": scores})

    def row(self, path: Path, make: Callable[[], Row]) -> Row | None:
        """The row that is kept, or a new one; None if it is missing and shall stay so."""
        kept = self.read(path)
        return kept or (self._write(path, make()) if self.measures else None)

    def scored(self, row: Row, key: str, make: Callable[[], dict[str, float]]) -> Row | None:
        """A row whose scores are all that is measured; as `row` keeps or makes it.

        Args:
            row: Without scores.
            key: Of what it depends on.
            make: Measures.
        """
        path = self.path(row.part, row.method, key, row.subject)
        return self.row(path, lambda: replace(row, scores=make()))

    def _write(self, path: Path, row: Row) -> Row:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path, overwrite=True) as draft:
            draft.write_text(json.dumps(finite(asdict(row)), indent=1), encoding="utf-8")
        return row


def measure(
    cases: Iterable[Case], methods_of: Callable[[Case], list[Method]], store: Store
) -> Iterator[Row]:
    """Yield the row of every case and method, reading voxels only where one is missing."""
    for case in cases:
        load = cache(case.load)  # once for all methods
        for method in methods_of(case):
            path = store.path(case.part, method.name, method.key, case.name)
            make = partial(measured, case, load, method, path.with_suffix(".npz"))
            if row := store.row(path, make):
                yield row


def measured(case: Case, load: Callable[[], Loaded], method: Method, errors: Path) -> Row:
    """Translate and compare; the errors of samples are kept beside their spread."""
    loaded = load()
    started = time.perf_counter()
    made = method.predict(loaded, case.target)
    seconds = time.perf_counter() - started
    if made.spread is not None:
        keep_errors(errors, made, loaded)
    return Row(
        case.part,
        case.subject,
        str(case.source),
        str(case.target),
        method.name,
        scores_of(made.voxels, loaded, case.target),
        round(seconds, 2),
        commit(),
        today(),
    )


def scores_of(pred: np.ndarray, case: Loaded, target: Kind) -> dict[str, float]:
    """SynthRAD's figures and those by tissue for a CT; fidelity for an MRI."""
    if target != CT:
        flat = bool(np.ptp(pred[case.mask]) == 0)
        return flat_fidelity(case) if flat else score(pred, case.truth, case.mask, "mri")
    scores = score(pred, case.truth, case.mask, "synthrad")
    if case.edge is not None:
        truth = np.where(case.edge, np.float32(AIR_HU), case.truth)
        scores["mae_edge_as_air"] = mae(pred, truth, case.mask)
    return scores


def flat_fidelity(case: Loaded) -> dict[str, float]:
    """Fidelity of the truth's own mean after normalisation; a constant has no structure."""
    inside = case.truth[case.mask].astype(np.float64)
    low, high = np.percentile(inside, PERCENTILES)
    squared = float(((inside - low) / (high - low)).clip(0, 1).var())
    return {"psnr": float(-10 * np.log10(squared)), "ssim": float("nan")}


def keep_errors(path: Path, made: Prediction, case: Loaded) -> None:
    """Error and spread of some voxels of the mask, the same ones each time."""
    if made.spread is None:
        return
    inside = np.flatnonzero(case.mask)
    some = np.random.default_rng(0).permutation(inside)[:ERRORS_KEPT]
    error = (made.voxels.ravel()[some] - case.truth.ravel()[some]).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, overwrite=True) as draft, draft.open("wb") as file:
        np.savez_compressed(file, error=error, spread=made.spread.ravel()[some].astype(np.float32))


def finite(values: Any) -> Any:
    """The same with null for every number that JSON cannot say."""
    if isinstance(values, dict):
        return {key: finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [finite(value) for value in values]
    if isinstance(values, float) and not np.isfinite(values):
        return None
    return values
