"""Tables and goals of references and of refined radiographs."""

from collections.abc import Sequence

from benchmarks import instructing, refining
from benchmarks.readers import CONTEXT, NOTHING
from benchmarks.results import Column, Goal, Table, at_least, at_most
from benchmarks.rows import Row
from benchmarks.train_readers import SINGLE, ZERO_SHOT

BINDING_NOTE = (
    "Pairs of simulated radiographs that nothing was trained on, each in a look of its own. "
    "Without a text, one gives the look and the other the anatomy, then the other way round. Look: "
    "the grey levels and sharpness are nearer to its reference than to the other. Anatomy: the "
    "edges correlate more with its reference; so of a subject, who is given alone. Chance is one "
    "half; of all four at once, one in 16."
)
COST_NOTE = (
    "Difference: between references that are ignored and no references, grey levels of 4095. "
    "Ratio: time of a text with one reference over that of the text alone."
)
CONTEST_NOTE = (
    "The same pairs. Instruction: references are read with the flow's own encoder; multi-task and "
    "single-task: they are raw channels, and a single-task model has learned that task alone. "
    "Nobody learned `anatomy+look`. All took as many steps, on the same studies; those after "
    "retrieval spent a quarter of them on it. Right: share of pictures that are nearer to each "
    "reference than to the other picture of the pair. Look: distance of grey levels and sharpness; "
    "edges: correlation with the anatomy's. Kernel: kernel distance of random features from the "
    "pictures that gave the look, thousandths. All that without a text. Facts: share of the stated "
    "findings that the judge sees where the report of the anatomy's patient is told, too; of those "
    "pictures themselves, and of the text alone, stand first."
)
REFINE_NOTE = (
    "Radiographs of 384 pixels a side, halved and doubled again: simulated ones that nothing was "
    "trained on, and those of patients. The plain U-Net learned as long as the refiner. Halved: "
    "the largest distance of the halved result from what was given, as a share of the range. "
    "Detail: deviation of what halving loses, over that of the truth; a refiner draws one of the "
    "images that may be there, and the mean of all of them, which has the best PSNR, is blurred."
)
REFINED = {
    "psnr": Column("PSNR, dB", 2),
    "ssim": Column("SSIM", 4),
    "detail": Column("detail", 2),
    "halved": Column("halved", 6),
}


CONTEST = {
    "right": Column("right", 2),
    "distance": Column("look", 3),
    "edges": Column("edges", 3),
    "kernel": Column("kernel", 2),
    "facts": Column("facts", 2),
    "n": Column("n"),
}


def instructing_tables(rows: Sequence[Row], refined: Sequence[Row]) -> list[Table]:
    """Every table, empty where nothing was measured."""
    known = {row.subject: row.scores for row in rows}
    binding, rest = known.get("binding"), {**known.get("ignored", {}), **known.get("cost", {})}
    keys = ("look", "anatomy", "swapped", "patient")
    shares = [Column(name, 2) for name in ("look", "anatomy", "all four", "subject")]
    bound = [instructing.OURS, *map((binding or {}).get, keys)]
    doubled = [[f"{row.subject}: {row.method}", *map(row.scores.get, REFINED)] for row in refined]
    return [
        Table(
            instructing.PART,
            "References: who gives what",
            BINDING_NOTE,
            (Column(""), *shares),
            [bound] if binding else [],
        ),
        Table(
            instructing.PART,
            "References: none, and what they cost",
            COST_NOTE,
            (Column(""), Column("value", 3)),
            [[name, value] for name, value in rest.items()],
        ),
        Table(
            instructing.PART,
            "References: encoded, and raw",
            CONTEST_NOTE,
            (Column("task"), Column(""), *CONTEST.values()),
            [
                [row.subject, row.method, *(row.scores.get(key) for key in CONTEST)]
                for task in (NOTHING, *SINGLE, ZERO_SHOT)
                for row in rows
                if row.subject == task
            ],
        ),
        Table(
            refining.PART,
            "Twice the resolution",
            REFINE_NOTE,
            (Column(""), *REFINED.values()),
            doubled,
        ),
    ]


def instructing_goals(rows: Sequence[Row], refined: Sequence[Row]) -> list[Goal]:
    """What references and refining are held against."""
    known = {row.subject: row.scores for row in rows}
    ours = [row.scores for row in refined if row.method == refining.OURS]
    ahead = [
        each for each in (_ahead(rows, is_after=way) for way in (False, True)) if each is not None
    ]
    away = max((one["halved"] for one in ours), default=None)
    return [
        at_least("references swap their roles", known.get("binding", {}).get("swapped"), 0.5),
        at_most(
            "ignored references change nothing", known.get("ignored", {}).get("difference"), 0.0
        ),
        at_most("time with a reference, over without", known.get("cost", {}).get("ratio"), 1.15),
        at_least("zero-shot: right, more than of raw references", min(ahead, default=None), 0.0),
        at_most("refined and halved, share of the range", away, 1e-3),
    ]


def _ahead(rows: Sequence[Row], *, is_after: bool) -> float | None:
    """How many more are right with encoded references than with raw ones, where nobody learned."""
    of = [r for r in rows if r.subject == ZERO_SHOT and r.method.endswith(CONTEXT) is is_after]
    encoded, raw = (
        [r.scores["right"] for r in of if r.source == way] for way in ("encoded", "raw")
    )
    return min(encoded) - max(raw) if encoded and raw else None
