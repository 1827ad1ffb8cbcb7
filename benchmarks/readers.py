"""Instructions against raw inputs: who follows references, in tasks it learned and in a new one.

What is compared is trained by `benchmarks.train_readers`; models that are not there are left out.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.generation import distance_in, in_random_space
from benchmarks.instructing import PART, Bench, Picture, alike, look_distance
from benchmarks.machine import commit, today
from benchmarks.rows import Row, Store
from benchmarks.train_flows import REFERENCE
from benchmarks.train_readers import CONTESTANTS, Contestant
from medgen.checkpoint import read_card
from medgen.instruct.instruction import Role
from medgen.instruct.tasks import COMBINATIONS
from medgen.modality import Modality
from medgen.tasks.fit import MODEL
from medgen.tasks.instruct_model import reader_part

CONTEXT = "after retrieval"


def name_of(one: Contestant) -> str:
    """As rows and tables have it: those of one kind share a name, whatever single task it is."""
    return f"{one.name}, {CONTEXT}" if one.has_context else one.name


def contests(studies: Path, store: Store) -> Iterator[Row]:
    """A row of each model and each task that it is asked for.

    Args:
        studies: Where the models and the manifest of held-out radiographs are.
        store: Keeps the rows.
    """
    for one in CONTESTANTS:
        model = studies / one.folder / MODEL
        if not model.is_dir() or (not (studies / REFERENCE).exists() and store.measures):
            continue
        key = read_card(model).parts[reader_part(Modality.XRAY)].sha256[:8]
        bench = Bench(str(model), studies)
        for task in one.asked:
            way, name = "raw" if one.is_raw else "encoded", name_of(one)
            row = Row(PART, task, way, "xray", name, {}, 0.0, commit(), today())
            path = store.path(PART, name, key, task)
            if kept := store.row(path, partial(_row, row, bench, task)):
                yield kept


def _row(row: Row, bench: Bench, task: str) -> Row:
    return replace(row, scores=followed(bench, task))


def followed(bench: Bench, task: str) -> dict[str, float]:
    """How well pictures follow the references of a task, and how like radiographs they are.

    `look` and `anatomy` are the shares of pictures nearer to their reference than to another
    picture; `right`, those of which all that the task asks for is so. `distance` is that of looks,
    `edges` their correlation with the anatomy's, and `kernel` the kernel distance, in thousandths,
    of random features from those of the held-out radiographs in the same looks.
    """
    roles = COMBINATIONS[task]
    found: dict[str, list[float]] = {}
    right, every = [], []
    for at in range(bench.pairs):
        one, other = bench.pictures[2 * at], bench.pictures[2 * at + 1]
        for look, anatomy in ((one, other), (other, one)):
            given = {Role.LOOK: look, Role.ANATOMY: anatomy}
            made = bench.made({role: given[role] for role in roles}, at)
            scores = _scores(made, look, anatomy)
            asked = {key: value for role in roles for key, value in scores[role].items()}
            for key, value in asked.items():
                found.setdefault(key, []).append(value)
            right.append(all(asked[str(role)] for role in roles))
            every.append(made)
    means = {key: float(np.mean(values)) for key, values in found.items()}
    there = bench.pictures[: 2 * bench.pairs]
    kernel = distance_in(in_random_space(np.stack(every)), in_random_space(there), "random")[
        "kernel random"
    ]
    return means | {"right": float(np.mean(right)), "kernel": kernel, "n": float(len(every))}


def _scores(made: Picture, look: Picture, anatomy: Picture) -> dict[Role, dict[str, float]]:
    distance, edges = look_distance(made, look), alike(made, anatomy)
    return {
        Role.LOOK: {
            "look": float(distance < look_distance(made, anatomy)),
            "distance": distance,
        },
        Role.ANATOMY: {"anatomy": float(edges > alike(made, look)), "edges": edges},
    }
