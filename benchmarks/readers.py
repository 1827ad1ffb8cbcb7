"""Instructions against raw inputs: who follows references, in tasks it learned and in a new one.

What is compared is trained by `benchmarks.train_readers`; models that are not there are left out.
"""

from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from benchmarks.generation import distance_in, in_random_space
from benchmarks.instructing import PART, Bench, Picture, alike, look_distance
from benchmarks.judge import CLAIMS, Claim, load_judge, read_studies, verdicts
from benchmarks.machine import commit, today
from benchmarks.radiograph_sets import judged, stated
from benchmarks.rows import Row, Store
from benchmarks.train_flows import REFERENCE
from benchmarks.train_readers import CONTESTANTS, Contestant
from medgen.checkpoint import read_card
from medgen.instruct.instruction import Role
from medgen.instruct.tasks import COMBINATIONS
from medgen.modality import Modality
from medgen.tasks.fitting.fit import MODEL
from medgen.tasks.flows.model import flow_part
from medgen.tasks.instructing.model import reader_part

CONTEXT = "after retrieval"
NOTHING = "none"  # the task without references
ALONE, HELD_OUT = "text alone", "held-out"


def name_of(one: Contestant) -> str:
    """As rows and tables have it."""
    name = " ".join(filter(None, [one.name, one.task]))
    return f"{name}, {CONTEXT}" if one.has_context else name


def contests(studies: Path, store: Store) -> Iterator[Row]:
    """A row of each model and each task that it is asked for; before them, of no references.

    Args:
        studies: Where the models and the manifest of held-out radiographs are.
        store: Keeps the rows.
    """
    there = [one for one in CONTESTANTS if (studies / one.folder / MODEL).is_dir()]
    if not there or (store.measures and not (studies / REFERENCE).exists()):
        return
    for at, one in enumerate(there):
        model = studies / one.folder / MODEL
        parts = read_card(model).parts
        bench = Bench(str(model), studies)
        if at == 0:  # all have the same flow
            key = parts[flow_part(Modality.XRAY)].sha256[:8]
            for name, make in ((HELD_OUT, really), (ALONE, unshown)):
                if kept := store.scored(_row(NOTHING, "none", name), key, partial(make, bench)):
                    yield kept
        key = parts[reader_part(Modality.XRAY)].sha256[:8]
        for task in one.asked:
            way = "raw" if one.is_raw else "encoded"
            row = _row(task, way, name_of(one))
            if kept := store.scored(row, key, partial(followed, bench, task)):
                yield kept


def _row(task: str, way: str, name: str) -> Row:
    return Row(PART, task, way, "xray", name, {}, 0.0, commit(), today())


def really(bench: Bench) -> dict[str, float]:
    """How much of what is said the judge sees in the held-out pictures: more nobody can show."""
    pictures = bench.pictures[: 2 * bench.pairs]
    return seen_of(bench, list(pictures), range(len(pictures))) | {"n": float(len(pictures))}


def unshown(bench: Bench) -> dict[str, float]:
    """How much of what is said it sees in pictures of the text alone, and how real they are."""
    order = [other for _, other in _turns(bench)]
    made = [bench.made({}, at // 2, bench.reports[at].text) for at in order]
    return seen_of(bench, made, order) | _kernel(bench, made)


def followed(bench: Bench, task: str) -> dict[str, float]:
    """How well pictures follow the references of a task, and how like radiographs they are.

    `look` and `anatomy` are the shares of pictures nearer to their reference than to another
    picture; `right`, those of which all that the task asks for is so. `distance` is that of looks,
    `edges` their correlation with the anatomy's, and `kernel` the kernel distance, in thousandths,
    of random features from those of the held-out radiographs in the same looks. All that without a
    text; `facts` is the share of stated findings that the judge sees on the stated side of pictures
    that are also told the report of whose anatomy it is.
    """
    roles = COMBINATIONS[task]
    found: dict[str, list[float]] = {}
    right, every, told = [], [], []
    for one, other in _turns(bench):
        given = {Role.LOOK: bench.pictures[one], Role.ANATOMY: bench.pictures[other]}
        shown = {role: given[role] for role in roles}
        made = bench.made(shown, one // 2)
        scores = _scores(made, given[Role.LOOK], given[Role.ANATOMY])
        asked = {key: value for role in roles for key, value in scores[role].items()}
        for key, value in asked.items():
            found.setdefault(key, []).append(value)
        right.append(all(asked[str(role)] for role in roles))
        every.append(made)
        told.append(bench.made(shown, one // 2, bench.reports[other].text))
    means = {key: float(np.mean(values)) for key, values in found.items()}
    facts = seen_of(bench, told, [other for _, other in _turns(bench)])
    return means | {"right": float(np.mean(right))} | _kernel(bench, every) | facts


def _turns(bench: Bench) -> list[tuple[int, int]]:
    """Numbers of the picture that gives the look, and of that which gives the anatomy."""
    return [(2 * at + first, 2 * at + 1 - first) for at in range(bench.pairs) for first in (0, 1)]


def _kernel(bench: Bench, made: Sequence[Picture]) -> dict[str, float]:
    there = bench.pictures[: 2 * bench.pairs]
    spaces = in_random_space(np.stack(made)), in_random_space(there)
    return {"kernel": distance_in(*spaces, "random")["kernel random"], "n": float(len(made))}


def seen_of(bench: Bench, pictures: Sequence[Picture], said: Sequence[int]) -> dict[str, float]:
    """The share of stated findings that the judge sees on the stated side, and their number.

    Args:
        bench: Has the reports.
        pictures: Of them.
        said: Numbers of the reports that they show.
    """
    trusted = trusted_on(bench.studies / REFERENCE)
    seen = judged(load_judge(), np.stack(pictures)) > 0.5
    hits = [
        bool(answers[CLAIMS.index(claim)])
        for answers, at in zip(seen, said, strict=True)
        for claim, _ in stated(bench.reports[at])
        if claim in trusted
    ]
    return {"facts": float(np.mean(hits)), "stated": float(len(hits))}


@cache
def trusted_on(manifest: Path) -> set[Claim]:
    """The claims that the judge reads well on simulated radiographs."""
    return {one.claim for one in verdicts(load_judge(), *read_studies(manifest)) if one.is_sure}


def _scores(made: Picture, look: Picture, anatomy: Picture) -> dict[Role, dict[str, float]]:
    distance, edges = look_distance(made, look), alike(made, anatomy)
    return {
        Role.LOOK: {
            "look": float(distance < look_distance(made, anatomy)),
            "distance": distance,
        },
        Role.ANATOMY: {"anatomy": float(edges > alike(made, look)), "edges": edges},
    }
