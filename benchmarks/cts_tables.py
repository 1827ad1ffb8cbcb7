"""Tables and goals of generated CTs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.cts import CHESTS, FIDELITY, HEADS, PLANES, Anatomy
from benchmarks.generation import FLOOR, NEAREST, OURS, REAL, UNTOLD
from benchmarks.generation_tables import kernel_in, share_in
from benchmarks.results import Column, Goal, Table, at_least
from benchmarks.rows import Row, scores_in

FACTS_NOTE = (
    "A CT of each of 100 held-out reports, at the command's defaults. {0} Measured by geometry "
    "(`benchmarks/{1}.py`), in the held-out studies themselves as well. Shares with Wilson's 95 % "
    "interval: of what is there, how much is measured; of what is not, how often nothing is; and "
    "of all. Told nothing: 50 CTs, each beside two of the reports. Nearest report: the training "
    "study whose report lies nearest to the prompt."
)
FIDELITY_NOTE = (
    "Distances of the middle planes from those of the held-out studies, in fixed random "
    "convolutions, in thousandths; kernel distances with the spread of 95 of 100 draws of half the "
    "images; Fréchet distances of so few are too large for all alike. The floor: training studies."
)
METHODS = {OURS: "medgen", NEAREST: NEAREST, UNTOLD: "medgen, told nothing", REAL: "the study"}
WORDS = {**METHODS, FLOOR: "training studies (floor)"}
STATED, TRUSTED = 0.80, 0.95


@dataclass(frozen=True)
class Words:
    """How an anatomy is spoken of.

    Attributes:
        anatomy: What it is.
        what: What is measured.
        groups: Of the scores, in words.
        density: What has one.
    """

    anatomy: Anatomy
    what: str
    groups: dict[str, str]
    density: str

    @property
    def note(self) -> str:
        """Above the table of facts."""
        return FACTS_NOTE.format(self.what, f"{self.anatomy.name[:-1]}_measures")


def _groups(*named: str) -> dict[str, str]:
    return {"present": "what is there", "absent": "what is not"} | dict(
        zip(named[::2], named[1::2], strict=True)
    )


SPOKEN = (
    Words(
        CHESTS,
        "Voxels of 3 mm; fluid beside either lung, and the breadth of the heart.",
        _groups(
            *("pleural_effusion, present", "effusions"),
            *("pleural_effusion", "effusion or none, by side"),
            *("cardiomegaly, present", "enlarged hearts"),
            *("cardiomegaly", "heart enlarged or not"),
            *("all", "all"),
        ),
        "fluid",
    ),
    Words(
        HEADS,
        "Voxels of 2 mm; fresh blood of 15 mm or more on either side, and ventricles that are "
        "moderately wide or more.",
        _groups(
            *("haemorrhage, present", "bleedings"),
            *("haemorrhage", "bleeding or none, by side"),
            *("ventriculomegaly, present", "wide ventricles"),
            *("ventriculomegaly", "ventricles wide or not"),
            *("all", "all"),
        ),
        "blood",
    ),
)


def cts_tables(rows: Mapping[str, Sequence[Row]]) -> list[Table]:
    """Every table, empty where nothing was measured.

    Args:
        rows: By part.
    """
    return [
        table
        for words in SPOKEN
        for table in (
            _facts(words, rows[words.anatomy.part]),
            _fidelity(words.anatomy, rows[words.anatomy.part]),
        )
    ]


def cts_goals(anatomy: Anatomy, rows: Sequence[Row]) -> list[Goal]:
    """What generated CTs are held against."""
    name = anatomy.name
    told, untold = (scores_in(rows, "facts", method).get("present") for method in (OURS, UNTOLD))
    return [
        at_least(
            f"measures of {name}: right on held-out ones",
            scores_in(rows, "facts", REAL).get("all"),
            TRUSTED,
            digits=3,
        ),
        at_least(f"generated CTs of {name}: stated findings measured", told, STATED),
        Goal(
            f"the same without the text, CT of {name}",
            "below half of it",
            untold,
            None if told is None or untold is None else untold < told / 2,
        ),
    ]


def _facts(words: Words, rows: Sequence[Row]) -> Table:
    columns = (Column("right"), Column("n"), *(Column(word) for word in METHODS.values()))
    told = scores_in(rows, "facts", REAL)
    lines: list[list[object]] = [
        [word, told[f"{group} n"], *(share_in(scores_in(rows, "facts", m), group) for m in METHODS)]
        for group, word in words.groups.items()
        if group in told
    ]
    if told:
        densities = [scores_in(rows, "facts", method).get("density hu") for method in METHODS]
        lines.append([f"{words.density}, HU (median)", None, *densities])
    title = f"CTs of {words.anatomy.name}: what they show"
    return Table(words.anatomy.part, title, words.note, columns, lines)


def _fidelity(anatomy: Anatomy, rows: Sequence[Row]) -> Table:
    columns = (
        Column("CTs"),
        Column("n"),
        *(Column(f"{kind}, {plane}", 2) for plane in PLANES for kind in ("Fréchet", "kernel")),
    )
    lines = []
    for method in FIDELITY:
        if scores := scores_in(rows, "fidelity", method):
            distances = [
                cell
                for plane in PLANES
                for cell in (1000 * scores[f"frechet {plane}"], kernel_in(scores, plane))
            ]
            lines.append([WORDS[method], scores["n"], *distances])
    title = f"CTs of {anatomy.name}: how real they look"
    return Table(anatomy.part, title, FIDELITY_NOTE, columns, lines)
