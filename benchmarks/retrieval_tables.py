"""Tables and goals of the encoders: who finds whom, which text an image chooses, how small."""

from collections.abc import Sequence

from benchmarks.align_ablation import PART as ABLATION
from benchmarks.align_ablation import VARIANTS
from benchmarks.results import Column, Goal, Table, at_least, cell
from benchmarks.retrieval import CHESTS, ENCODERS, HANDWRITTEN, PART, PROBE
from benchmarks.rows import Row
from medgen.metrics.bootstrap import interval

TEXT_WAYS = ("text>xray", "xray>text", "text>ct", "ct>text", "text>mri", "mri>text")
UNTRAINED = ("xray>ct", "ct>xray", "ct>mri", "mri>ct")
IMAGES = ("xray", "ct", "mri")
SIZES = ("0 to 10 mm", "10 to 20 mm", "20 to 40 mm", "40 mm and more", "not measured")
WANTED = {"side": 0.95, "presence": 0.95, "region": 0.90, "size": 0.80, "severity": 0.80}
RECALL = 0.70
NOTE = (
    "200 held-out simulated studies in held-out words: 100 chests of formulas, 100 heads of the "
    "label maps 19 and 20. Galleries of 100; studies whose reports say the same is there are "
    "equally right, and chance is counted the same way. The probe is a ridge regression from the "
    "image, averaged to a sixteenth, to the text's embedding. Pairs without text were never "
    "trained. Chests: the 100 chests alone. By hand: the same studies, reported by a person."
)
CHOICE_NOTE = (
    "One image and two reports that differ in one fact: how often is the right one closer? 0.5 is "
    "chance. With Wilson's 95 % interval."
)
SIZE_NOTE = "Recall at 5, by the largest lesion that the report measures."

ABLATION_NOTE = (
    "What reads the features of radiographs and CTs, trained anew for 250 steps on the training "
    "chests and asked about the 100 held-out ones; features and text encoder are the finished "
    "ones. Recall at 5 in galleries of 100, and the share of right choices; mean ± SD over seeds."
)
ABLATED = {  # heading: figure
    "text finds X-ray": "text>xray recall 5",
    "text finds CT": "text>ct recall 5",
    "X-ray finds CT": "xray>ct recall 5",
    "chance": "text>ct chance 5",
    "X-ray: side": "xray side right",
    "CT: side": "ct side right",
    "CT: presence": "ct presence right",
}


def retrieval_tables(rows: Sequence[Row]) -> list[Table]:
    """Retrieval, choices, and retrieval by the size of the lesion."""
    scores = {row.method: row.scores for row in rows}
    ours, probe = scores.get(ENCODERS, {}), scores.get(PROBE, {})
    by_hand, chests = scores.get(HANDWRITTEN, {}), scores.get(CHESTS, {})
    ways = [way for way in (*TEXT_WAYS, *UNTRAINED) if f"{way} recall 5" in ours]
    found = [
        [
            *way.split(">"),
            *(ours[f"{way} recall {k}"] for k in (1, 5, 10)),
            ours[f"{way} median rank"],
            *(of.get(f"{way} {what}") for of, what in ((ours, "chance 5"), (probe, "recall 5"))),
            *(
                of.get(f"{way} {what}")
                for of in (chests, by_hand)
                for what in ("recall 5", "chance 5")
            ),
            ours[f"{way} gap"],
        ]
        for way in ways
    ]
    numbers = ("R@1", "R@5", "R@10", "median rank", "chance R@5", "probe R@5")
    columns = (
        *(Column("query"), Column("finds")),
        *(Column(title, 0 if "rank" in title else 2) for title in numbers),
        *(Column(f"{what}, {of}", 2) for of in ("chests", "by hand") for what in ("R@5", "chance")),
        Column("gap", 2),
    )
    chosen = [
        [
            image,
            change,
            *(ours[f"{image} {change} {what}"] for what in ("right", "low", "high", "count")),
            probe.get(f"{image} {change} right"),
        ]
        for image in IMAGES
        for change in WANTED
        if f"{image} {change} right" in ours
    ]
    titles = ("right choice", "from", "to")
    choice_columns = (
        *(Column("image"), Column("changed fact"), *(Column(title, 3) for title in titles)),
        *(Column("choices"), Column("probe", 3)),
    )
    sizes = [
        [*way.split(">"), *(ours.get(f"{way} recall 5, {size}") for size in SIZES)] for way in ways
    ]
    size_columns = (Column("query"), Column("finds"), *(Column(size, 2) for size in SIZES))
    return [
        Table(PART, "Encoders: retrieval", NOTE, columns, found),
        Table(PART, "Encoders: contrast sets", CHOICE_NOTE, choice_columns, chosen),
        Table(PART, "Encoders: by size of the lesion", SIZE_NOTE, size_columns, sizes),
    ]


def ablation_table(rows: Sequence[Row]) -> Table:
    """One line a variant, the mean over its seeds."""
    columns = (Column(""), *(Column(title, 2) for title in ABLATED))
    lines: list[list[object]] = [
        [
            name,
            *(cell(interval([row.scores[figure] for row in own])) for figure in ABLATED.values()),
        ]
        for name in VARIANTS
        if (own := [row for row in rows if row.method == name])
    ]
    return Table(ABLATION, "Encoders: ablations", ABLATION_NOTE, columns, lines)


def retrieval_goals(rows: Sequence[Row]) -> list[Goal]:
    """Recall both ways between text and every image, and the choices of every image."""
    scores = next((row.scores for row in rows if row.method == ENCODERS), {})
    recalls = [
        at_least(f"{way.replace('>', ' finds ')}: R@5", scores.get(f"{way} recall 5"), RECALL)
        for way in TEXT_WAYS
    ]
    choices = [
        at_least(f"{image}: {change} told apart", scores.get(f"{image} {change} right"), wanted)
        for image in IMAGES
        for change, wanted in WANTED.items()
        if not scores or f"{image} {change} right" in scores
    ]
    return [*recalls, *choices]
