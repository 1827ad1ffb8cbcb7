"""Tables and goals of generated CTs of chests."""

from collections.abc import Sequence

from benchmarks.chests import FIDELITY, PART, PLANES
from benchmarks.generation import FLOOR, NEAREST, OURS, REAL, UNTOLD
from benchmarks.generation_tables import kernel_in, scores_in, share_in
from benchmarks.results import Column, Goal, Table, at_least
from benchmarks.rows import Row

FACTS_NOTE = (
    "A CT of each of 100 held-out reports, at the command's defaults, 3 mm. Fluid beside either "
    "lung and the breadth of the heart are measured by geometry (`benchmarks/chest_measures.py`), "
    "in the held-out chests themselves as well. Shares with Wilson's 95 % interval: of what is "
    "there, how much is measured; of what is not, how often nothing is; and of all. Told nothing: "
    "50 chests, each beside two of the reports. Nearest report: the training chest whose report "
    "lies nearest to the prompt."
)
FIDELITY_NOTE = (
    "Distances of the middle planes from those of the held-out chests, in fixed random "
    "convolutions. Kernel distances in thousandths, with the spread of 95 of 100 draws of half the "
    "images; Fréchet distances of so few are too large for all alike. The floor: training chests."
)
METHODS = {OURS: "medgen", NEAREST: NEAREST, UNTOLD: "medgen, told nothing", REAL: "the chest"}
WORDS = {**METHODS, FLOOR: "training chests (floor)"}
GROUPS = {
    "present": "what is there",
    "absent": "what is not",
    "pleural_effusion, present": "effusions",
    "pleural_effusion": "effusion or none, by side",
    "cardiomegaly, present": "enlarged hearts",
    "cardiomegaly": "heart enlarged or not",
    "all": "all",
}
STATED, TRUSTED = 0.80, 0.95


def chests_tables(rows: Sequence[Row]) -> list[Table]:
    """Every table, empty where nothing was measured."""
    return [_facts(rows), _fidelity(rows)]


def chests_goals(rows: Sequence[Row]) -> list[Goal]:
    """What generated chests are held against."""
    told, untold = (scores_in(rows, "facts", method).get("present") for method in (OURS, UNTOLD))
    return [
        at_least(
            "measures of chests: right on held-out ones",
            scores_in(rows, "facts", REAL).get("all"),
            TRUSTED,
            digits=3,
        ),
        at_least("generated CTs of chests: stated findings measured", told, STATED),
        Goal(
            "the same without the text, CT",
            "below half of it",
            untold,
            None if told is None or untold is None else untold < told / 2,
        ),
    ]


def _facts(rows: Sequence[Row]) -> Table:
    columns = (Column("right"), Column("n"), *(Column(word) for word in METHODS.values()))
    told = scores_in(rows, "facts", OURS)
    lines: list[list[object]] = [
        [word, told[f"{group} n"], *(share_in(scores_in(rows, "facts", m), group) for m in METHODS)]
        for group, word in GROUPS.items()
        if group in told
    ]
    if told:
        fluids = [scores_in(rows, "facts", method).get("fluid hu") for method in METHODS]
        lines.append(["fluid, HU (median)", None, *fluids])
    return Table(PART, "CTs of chests: what they show", FACTS_NOTE, columns, lines)


def _fidelity(rows: Sequence[Row]) -> Table:
    columns = (
        Column("chests"),
        Column("n"),
        *(
            Column(f"{kind}, {plane}", digits)
            for plane in PLANES
            for kind, digits in (("Fréchet", 3), ("kernel", 2))
        ),
    )
    lines = []
    for method in FIDELITY:
        if scores := scores_in(rows, "fidelity", method):
            distances = [
                cell
                for plane in PLANES
                for cell in (scores[f"frechet {plane}"], kernel_in(scores, plane))
            ]
            lines.append([WORDS[method], scores["n"], *distances])
    return Table(PART, "CTs of chests: how real they look", FIDELITY_NOTE, columns, lines)
