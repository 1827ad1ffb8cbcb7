"""Tables and goals of generated radiographs: what they show, how real they look, how many steps."""

from collections.abc import Mapping, Sequence

from benchmarks.generation import (
    CHOSEN,
    CODED,
    FLOOR,
    MONAI,
    NEAREST,
    OURS,
    PART,
    REAL,
    STEPS,
    UNTOLD,
)
from benchmarks.results import Column, Goal, Table, at_least, at_most
from benchmarks.rows import Row, Scores, scores_in
from medgen.tasks.generating.config import SAMPLERS, GenerateConfig

FACTS_NOTE = (
    "Five radiographs of each of 100 held-out reports, at the command's defaults. A judge that no "
    "flow was trained or chosen with (`benchmarks/judge.safetensors`) looks for each finding that "
    "the report states, on the side that it states; only findings that it reads right in at least "
    "95 of 100 held-out simulated radiographs count. Share seen, with Wilson's 95 % interval. "
    "Of `--best-of 8`, one each: of eight, the one that shows the prompt best, going by the finder "
    "that the encoder of radiographs reads by. "
    "Nearest report: the training radiographs whose reports lie nearest to the prompt. The "
    "radiograph, coded: encoded and decoded, which is the most that its codec lets a flow show."
)
FIDELITY_NOTE = (
    "Distances from simulated radiographs that nothing was trained on, in two feature spaces: "
    "fixed random convolutions, and the model's own X-ray encoder. Fréchet distances of so few "
    "images are too large for all alike; the floor is that of the training radiographs. Kernel "
    "distances in thousandths, with the spread of 95 of 100 draws of half the images. The same "
    "from 243 radiographs of patients (CC BY 3.0, Hannover Medical School COVID-19 image "
    "repository), on which nothing was trained. MS-SSIM of random pairs: the lower, the more they "
    "differ. MONAI's pieces: its autoencoder and U-Net as its 2-D latent diffusion tutorial builds "
    "them, trained on the same radiographs for as long (`benchmarks.tutorial`), and walked by our "
    "sampler with as many evaluations; they know no text."
)
STEPS_NOTE = (
    "Kernel distance (thousandths, random convolutions) of one radiograph of each of 50 prompts, "
    "by steps. Every step is one pair of evaluations of the network, two pairs for `heun`."
)
STEPS_FIGURE, STEPS_UNIT = "benchmarks/steps.svg", "kernel distance, thousandths"
CODEC_NOTE = (
    "Radiographs that nothing was trained on, encoded and decoded; and reports, written again from "
    "their latents alone, each token at its place: simulated reports that no training saw, and "
    "those of the held-out studies, whose words and phrases no training saw either. Known runs: of "
    "all runs of three words, how many the training reports have, too; in the unseen reports "
    "themselves, and in what is written half way between the latents of two of them."
)
VOLUMES_NOTE = (
    "CT and MRI of the held-out heads at 2 mm, encoded to a number for every eight voxels and "
    "decoded: mean absolute error of the whole field and of what is denser than -500 HU."
)
COPIES_NOTE = (
    "A radiograph counts as a copy if it lies nearer to a training radiograph than all but 5 of "
    "100 held-out ones do, both at 64 pixels a side; with Wilson's 95 % interval."
)
SPEED_NOTE = (
    "`medgen generate` on the CPU: median, fastest and slowest of three cold starts with one "
    "radiograph of 256 pixels a side, and the time that each of seven more adds."
)
SAMPLERS_NOTE = (
    "The same network from the same noise in ten Euler steps, four latents at once: our time over "
    "theirs, taken in turns (median, lowest, highest), and the largest difference of the latents."
)
GROUPS = {
    "all": "all stated",
    "small": "small",
    "moderate": "moderate",
    "large": "large",
    "pleural_effusion": "effusion",
    "pneumothorax": "pneumothorax",
    "consolidation": "consolidation",
    "atelectasis": "atelectasis",
    "mass": "mass",
    "device": "device",
    "oedema": "oedema",
    "emphysema": "emphysema",
}
SPACES = {
    "random": "random",
    "aligned": "aligned",
    "random, patients": "random, from patients",
    "aligned, patients": "aligned, from patients",
}
METHODS = {
    OURS: "medgen",
    CHOSEN: "medgen, `--best-of 8`",
    NEAREST: NEAREST,
    UNTOLD: "medgen, told nothing",
    CODED: "the radiograph, coded",
    REAL: "the radiograph",
}
COLD_SECONDS, EACH_SECONDS = 8.0, 3.0
STATED, EVALUATIONS, NEAR, TOKENS = 0.80, 24, 1.05, 0.95
DIVERSITY, HU = 0.10, 12.0


def generation_tables(rows: Sequence[Row]) -> list[Table]:
    """Every table, empty where nothing was measured."""
    return [
        _facts(rows),
        _fidelity(rows),
        _steps(rows),
        _simple(rows, "codecs", "Codecs of radiographs and reports", CODEC_NOTE, CODEC_COLUMNS),
        _simple(rows, "volumes", "Codecs of CT and MRI", VOLUMES_NOTE, VOLUME_COLUMNS),
        _simple(rows, "speed command", "Radiographs of prompts: time", SPEED_NOTE, SPEED_COLUMNS),
        _samplers(rows),
        _simple(rows, "copies", "Are generated radiographs copies?", COPIES_NOTE, COPY_COLUMNS),
    ]


CODEC_COLUMNS = {
    "psnr": Column("radiographs: PSNR, dB", 2),
    "psnr sd": Column("SD", 2),
    "n": Column("n"),
    "tokens right": Column("reports: tokens right", 3),
    "reports right": Column("whole reports right", 3),
    "reports": Column("n"),
    "tokens right, held-out words": Column("in held-out words: tokens right", 3),
    "reports, held-out words": Column("n"),
    "known runs": Column("known runs of words", 3),
    "known runs, midpoints": Column("at midpoints", 3),
}
VOLUME_COLUMNS = {
    "ct mae": Column("CT: MAE, HU", 1),
    "ct mae, tissue": Column("in tissue", 1),
    "mri psnr": Column("MRI: PSNR, dB", 2),
    "mris": Column("MRIs"),
}
SPEED_COLUMNS = {
    "cold": Column("one, cold start, s", 2),
    "cold fastest": Column("fastest", 2),
    "cold slowest": Column("slowest", 2),
    "each": Column("each further one, s", 2),
    "peak_gb": Column("peak, GB", 2),
}
COPY_COLUMNS = {
    "share": Column("taken for copies", 3),
    "low": Column("low", 3),
    "high": Column("high", 3),
    "expected": Column("of held-out ones", 3),
    "n": Column("n"),
}


def generation_goals(rows: Sequence[Row]) -> list[Goal]:
    """What generation is held against."""
    facts, fidelity = scores_in(rows, "facts", OURS), scores_in(rows, "fidelity", OURS)
    floor, copies = scores_in(rows, "fidelity", FLOOR), scores_in(rows, "copies", OURS)
    volumes = scores_in(rows, "volumes", OURS)
    told, untold = facts.get("all"), scores_in(rows, "facts", UNTOLD).get("all")
    config = GenerateConfig()
    best, ours = (
        scores_in(rows, f"steps {config.sampler} {steps}", OURS).get("frechet random")
        for steps in (max(STEPS), config.steps)
    )
    apart = None
    if fidelity and floor:
        apart = abs(fidelity["ms-ssim"] / floor["ms-ssim"] - 1)
    return [
        at_least("generated radiographs: stated findings seen", told, STATED),
        Goal(
            "the same without the text",
            "below half of it",
            untold,
            None if told is None or untold is None else untold < told / 2,
        ),
        at_most("default: evaluations of the network", 2.0 * config.steps, EVALUATIONS, digits=0),
        at_most(
            f"Fréchet distance at the default over that at {max(STEPS)} steps",
            ours / best if ours and best else None,
            NEAR,
        ),
        at_most("MS-SSIM of pairs, away from the data's", apart, DIVERSITY),
        at_least(
            "unseen reports: tokens right",
            scores_in(rows, "codecs", OURS).get("tokens right"),
            TOKENS,
            digits=3,
        ),
        at_most("codec of CT: MAE of held-out heads", volumes.get("ct mae"), HU, " HU", 1),
        *_beside_monai(rows),
        *_speed_goals(rows),
        Goal(
            "copies: lower end of the share less that of held-out ones",
            "at most 0",
            copies["low"] - copies["expected"] if copies else None,
            not copies["copying"] if copies else None,
            3,
        ),
    ]


def _beside_monai(rows: Sequence[Row]) -> list[Goal]:
    """Our distance from real radiographs over that of MONAI's pieces."""
    ours, theirs = scores_in(rows, "fidelity", OURS), scores_in(rows, "fidelity", MONAI)
    goals = []
    for space in ("random", "aligned"):
        name = f"kernel {space}"
        ratio = ours[name] / theirs[name] if name in ours and name in theirs else None
        goals.append(at_most(f"kernel distance ({space}) over that of MONAI's pieces", ratio, 1))
    return goals


def _speed_goals(rows: Sequence[Row]) -> list[Goal]:
    command, others = (
        scores_in(rows, "speed command", OURS),
        scores_in(rows, "speed samplers", OURS),
    )
    return [
        at_most("radiograph of 256², cold start", command.get("cold"), COLD_SECONDS, " s", 1),
        at_most("each further radiograph", command.get("each"), EACH_SECONDS, " s", 1),
        at_most("our sampler's time over MONAI's inferer's", others.get("monai ratio"), 1),
        at_most("our sampler's time over diffusers' loop's", others.get("diffusers ratio"), 1),
    ]


def _facts(rows: Sequence[Row]) -> Table:
    columns = (Column("findings"), Column("n"), *(Column(word, 2) for word in METHODS.values()))
    told = scores_in(rows, "facts", OURS)
    lines = [
        [word, told[f"{group} n"], *(share_in(scores_in(rows, "facts", m), group) for m in METHODS)]
        for group, word in GROUPS.items()
        if group in told
    ]
    if "absent" in told:
        seen = [share_in(scores_in(rows, "facts", method), "absent") for method in METHODS]
        lines.append(["seen although not stated", told["absent n"], *seen])
    return Table(PART, "Radiographs of prompts: what they show", FACTS_NOTE, columns, lines)


def share_in(scores: Scores, group: str) -> str | None:
    """A share with its interval; None where nothing was measured."""
    if group not in scores:
        return None
    low, high = scores[f"{group} low"], scores[f"{group} high"]
    return f"{scores[group]:.2f} [{low:.2f}, {high:.2f}]"


def _fidelity(rows: Sequence[Row]) -> Table:
    columns = (
        Column("radiographs"),
        Column("n"),
        *(
            Column(f"{kind}, {space}", digits)
            for space in SPACES.values()
            for kind, digits in (("Fréchet", 3), ("kernel", 2))
        ),
        Column("MS-SSIM of pairs", 3),
    )
    words = {OURS: "medgen", MONAI: "MONAI's pieces", NEAREST: NEAREST}
    words |= {FLOOR: "training radiographs (floor)"}
    lines = []
    for method, word in words.items():
        if scores := scores_in(rows, "fidelity", method):
            distances = [
                cell
                for space in SPACES
                for cell in (scores[f"frechet {space}"], kernel_in(scores, space))
            ]
            lines.append([word, scores["n"], *distances, scores["ms-ssim"]])
    return Table(PART, "Radiographs of prompts: how real they look", FIDELITY_NOTE, columns, lines)


def kernel_in(scores: Scores, space: str) -> str:
    """A kernel distance with its spread."""
    low, high = scores[f"kernel {space} low"], scores[f"kernel {space} high"]
    return f"{scores[f'kernel {space}']:.2f} [{low:.2f}, {high:.2f}]"


def _steps(rows: Sequence[Row]) -> Table:
    columns = (Column("sampler"), *(Column(f"{steps} steps", 2) for steps in STEPS))
    lines = []
    for sampler in SAMPLERS:
        found = [scores_in(rows, f"steps {sampler} {steps}", OURS) for steps in STEPS]
        if any(found):
            lines.append([sampler, *(each.get("kernel random") for each in found)])
    title = "Radiographs of prompts: quality by steps"
    return Table(PART, title, STEPS_NOTE, columns, lines, figure=STEPS_FIGURE, unit=STEPS_UNIT)


def _samplers(rows: Sequence[Row]) -> Table:
    columns = (
        Column("ours over"),
        *(Column(word, 3) for word in ("time", "lowest", "highest")),
        Column("latents apart", 6),
    )
    scores = scores_in(rows, "speed samplers", OURS)
    names = ("monai", "diffusers") if scores else ()
    words = ("ratio", "lowest", "highest", "apart")
    lines = [[name, *(scores[f"{name} {word}"] for word in words)] for name in names]
    return Table(PART, "Our sampler beside others'", SAMPLERS_NOTE, columns, lines)


def _simple(
    rows: Sequence[Row], subject: str, title: str, note: str, columns: Mapping[str, Column]
) -> Table:
    scores = scores_in(rows, subject, OURS)
    lines = [["medgen", *(scores.get(name) for name in columns)]] if scores else []
    return Table(PART, title, note, (Column(""), *columns.values()), lines)
