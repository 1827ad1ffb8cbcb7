"""Train what makes and reports chests: the commands, in order, and nothing hidden between.

Patients in words teach the text encoder to read, and it stays as it is; a codec learns to write
their reports again. Then chests are there: the encoder of radiographs learns to meet the text, a
codec learns the radiographs, and a flow for each, images and reports, learns to make what the codec
can write out; that of radiographs goes on, longer, with more chests. A finder learns what
radiographs show, and a writer to say it. Then come volumes: a codec learns CTs of heads and of
chests, and the finder to read CTs, then radiographs from the side, with a writer again, and to look
for what is small in CTs. At last encoders of radiographs and CTs read by the finder's claims, and
the flow of reports goes on with what they say. Beside all that, a codec of whole chests, with eight
voxels a side in a cell, gives a flow of CT its latents; the flow goes on with those of a codec of
chests and heads that sees fluid, brain and blood apart, and then that codec's decoder does. The
flow was trained by two processes (`torchrun --nproc-per-node 2`). With all flows as they are, a
reader of references learns for that of radiographs, and a refiner to make these finer. Two chains
of commands run side by side, and what they have trained is joined at the end. Stopped at any
moment, the same command continues. Encoders that read by convolutions alone, of heads and MRI too,
are another matter: `python -m benchmarks.train_align`. Four things no command says: the bundled
codec of reports was trained when its loss was a mean over all tokens, and not yet over each
report's first; and the finder's fourth and fifth runs read radiographs from the side too, by what
reads those from the front; the first two runs of the flow of CT were stopped after 5,150 and 1,350
steps; and the bundled one offers chests of 3 mm alone, since what it makes of heads is a skull, and
no brain yet.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.chains import Chain, Line, run_chains, shown
from benchmarks.data import data_option
from benchmarks.train_align import link_heads
from medgen.data.manifest import read_manifest, write_manifest
from medgen.data.study import Study
from medgen.modality import Modality
from medgen.tasks.batch import MANIFEST
from medgen.tasks.fitting.fit import MODEL

CARD = Path(__file__).with_name("flows_card.toml")
CHESTS, NUMBER = "flow-chests", 3700
TRAINING, MORE = "flow-chests.jsonl", "flow-chests-2.jsonl"
REFERENCE = "flow-reference.jsonl"  # what generated radiographs are compared with
COMPARED = slice(1500, 1700)  # of the chests; the first are trained on, and later those behind too
HEADS, FEW_CHESTS, DEEP_CHESTS = "codec-heads", "ct-chests", "volume-chests"
LATERALS, MORE_LATERALS = "lateral-chests", "lateral-chests-2"
CALIBRATING = "calibration-chests"  # what the finder's answers are worth with each kind of images
VOLUMES = "codec-volumes.jsonl"
WHOLE_CHESTS, WHOLE = "volume-chests-2", "whole.jsonl"  # coarser CTs, and those of the codec
DRAWN, DRAWN_DEEP = "flow-ct.jsonl", 400  # what the flow of CT learns; of the deep chests, so many
DRAWN_HEADS, DRAWN_ON, DRAWN_COARSE = "flow-ct-heads.jsonl", "flow-ct-2.jsonl", 800  # and later
WHOLE_HEADS = {"heads-9301": 9301, "heads-9401": 9401}  # their seeds
BODY = "body.jsonl"  # of the codec that sees heads, too
READ = tuple(f"finder-{number}.jsonl" for number in range(2, 7))  # by the finder that goes on
BEFORE = "before-volumes"  # the model that they go on with
WORDS = "words/manifest.jsonl"
MADE = "made-flat"  # the model of all that comes before the flow of CT
DRAWN_FIRST = "drawn-first"  # and the one with the flow of CT as it first was
DRAWN_LAST = "drawn-last"  # and the one with all flows, which learn nothing after it
AGAIN = "met-again"  # the model with encoders that read by the finder
TOLD = "told"  # what the flow of reports is told by: text, radiographs, and the codec of reports


@dataclass(frozen=True)
class Stage:
    """One run of `medgen align` or `medgen train`.

    Attributes:
        teaches: `align:ENCODER`, or the round.
        manifest: Of its studies, in `out`.
        steps: How many.
        settings: What differs from the defaults.
        init: The run whose model it goes on with.
        again: How many have taught the same before, which it goes on with.
        calibrates: The folder of studies that calibrate it; None: some of the manifest.
        finder: The run whose finder reads its images; None: convolutions of their own do.
    """

    teaches: str
    manifest: str
    steps: int
    settings: dict[str, str] = field(default_factory=dict)
    init: str | None = None
    again: int = 0
    calibrates: str | None = None
    finder: str | None = None

    @property
    def folder(self) -> str:
        """Of the run, in `out`."""
        own = f"-{self.settings['name']}" if "name" in self.settings else ""
        number = f"-{self.again + 1}" if self.again else ""
        return self.teaches.replace(":", "-") + own + number


ENCODER = {"fit.batch": "64", "fit.learning_rate": "1.5e-3", "fit.ema_decay": "0.99"}
READING = ENCODER | {"fit.warmup": "50", "fit.seed": "1", "fit.precision": "bf16"}
LOOK = ENCODER | {"fit.batch": "32", "fit.warmup": "30", "decoys": "12", "invariant": "0"}
READS = Stage("align:text", WORDS, 450, READING)
WRITES = Stage("codec:text", WORDS, 4000, {"fit.precision": "bf16"}, READS.folder)
LOOKS = Stage("align:xray", TRAINING, 420, LOOK, READS.folder)
SHOWS = Stage("codec:xray", TRAINING, 2600, {"loss.adversarial_from": "1600"}, READS.folder)
DRAW = {"fit.learning_rate": "7e-4", "fit.precision": "bf16", "focus": "4"}
DRAWS = Stage("flow:xray", TRAINING, 5200, DRAW, SHOWS.folder)
DRAWS_ON = Stage("flow:xray", MORE, 11000, DRAW | {"fit.seed": "2"}, DRAWS.folder, again=1)
TELLS = Stage("flow:text", TRAINING, 5000, init=TOLD)
QUICK = {"fit.precision": "bf16"}
FINDS = Stage("report:finder", MORE, 3600, QUICK | {"fit.log_every": "50"}, TOLD)
SAYS = Stage("report:words", MORE, 700, QUICK, FINDS.folder)
FLAT = (READS, WRITES, LOOKS, SHOWS, DRAWS, DRAWS_ON, TELLS, FINDS, SAYS)
CUT = {"fit.batch": "4", "fit.learning_rate": "1.5e-3", "fit.warmup": "30"}
# A critic would make texture at the cost of HU, by which codecs of CT are measured.
CUT |= {"loss.perceptual": "0.1", "loss.adversarial_from": "100000"}
CUTS = Stage("codec:ct", VOLUMES, 1300, CUT, BEFORE)
KEPT = '["network.encoder","network.quant_conv_mu","network.quant_conv_log_sigma"]'
FINE = CUT | {"fit.learning_rate": "5e-4", "fit.seed": "1", "freeze": KEPT}
CUTS_ON = Stage("codec:ct", VOLUMES, 200, FINE, CUTS.folder, again=1)
SIDES = QUICK | {"finder.kinds": '["xray","ct"]', "fit.log_every": "20", "fit.warmup": "40"}
SIDES |= {"standard.shape": "[80,80,80]", "standard.spacings": "[2.8,4.5]"}
ONCE = SIDES | {"fit.learning_rate": "1e-3"}
APART = SIDES | {"fit.learning_rate": "1.5e-3", "drop": "0.7", "fit.seed": "3"}
LAST = SIDES | {"fit.learning_rate": "1.5e-3", "drop": "0.6", "fit.seed": "4"}
FINDS_2 = Stage("report:finder", READ[0], 1000, ONCE, BEFORE, again=1)
FINDS_3 = Stage("report:finder", READ[1], 1000, APART, FINDS_2.folder, again=2)
FINDS_4 = Stage("report:finder", READ[2], 1200, LAST, FINDS_3.folder, again=3)
DEEPER = SIDES | {"fit.learning_rate": "1.5e-3", "drop": "0.5", "fit.seed": "5"}
DEEPER |= {"augment.blur": "0"}
FINDS_5 = Stage("report:finder", READ[3], 2000, DEEPER, FINDS_4.folder, again=4)
STILL = '["query","key","value","answer","bias","louder","stacks.ct"]'
ASIDE = SIDES | {"finder.kinds": '["xray","xray:lateral"]', "freeze": STILL, "drop": "0.25"}
ASIDE |= {"fit.learning_rate": "1.5e-3", "fit.seed": "6"}
FINDS_6 = Stage(
    "report:finder", READ[4], 1500, ASIDE, FINDS_5.folder, again=5, calibrates=CALIBRATING
)
SAYS_2 = Stage("report:words", READ[0], 700, QUICK, FINDS_6.folder, again=1)
SPOT = QUICK | {"spots": '["nodule","mass"]', "fit.warmup": "50", "fit.seed": "7"}
SPOTS = Stage(
    "report:spots", f"{DEEP_CHESTS}/{MANIFEST}", 5000, SPOT, FINDS_6.folder, calibrates=CALIBRATING
)
FINDS_ON = (FINDS_2, FINDS_3, FINDS_4, FINDS_5, FINDS_6, SAYS_2, SPOTS)
DEEP = (CUTS, CUTS_ON, *FINDS_ON)
MEETS = {"cells": "3", "decoys": "4", "invariant": "0", "grounding": "0", "fit.batch": "128"}
MEETS |= {"fit.learning_rate": "1e-3", "fit.warmup": "50", "fit.ema_decay": "0.99"}
MEETS |= {"fit.log_every": "20"}
GENTLY = MEETS | {"fit.learning_rate": "2e-4", "fit.warmup": "10", "fit.ema_decay": "0.95"}
LOOKS_2 = Stage("align:xray", MORE, 300, MEETS, SPOTS.folder, again=1, finder=SPOTS.folder)
LOOKS_DEEP = Stage(
    "align:ct", f"{DEEP_CHESTS}/{MANIFEST}", 60, GENTLY, LOOKS_2.folder, finder=SPOTS.folder
)
MET = (LOOKS_2, LOOKS_DEEP)
TELLS_2 = Stage("flow:text", READ[0], 5000, {"fit.seed": "2"}, AGAIN, again=1)
FIRST = (*FLAT, *DEEP, *MET, TELLS_2)
SMALL = QUICK | {"name": "whole", "codec.widths": "[32,32,32]", "codec.latent_channels": "32"}
SMALL |= {"codec.companding.at": "[-0.6,-0.35]", "codec.companding.slopes": "[6]"}
SMALL |= {"codec.whitening": "0.5", "codec.encodes": "false"}
SMALL |= {"codec.residual": "0.2", "codec.polish": "3", "loss.perceptual": "0.1"}
SMALL |= {"fit.batch": "4", "fit.learning_rate": "1e-3", "fit.warmup": "30"}
SMALL |= {"loss.adversarial_from": "100000", "fit.log_every": "20"}
CUTS_WHOLE = Stage("codec:ct", WHOLE, 60, SMALL, MADE)
BEARS = SMALL | {"fit.seed": "1", "loss.latent_noise": "0.15"}
WHOLE_ON = Stage("codec:ct", WHOLE, 1200, BEARS, CUTS_WHOLE.folder, again=1)
DRAW_DEEP = DRAW | {"flow.codec": "whole", "flow.grid": "[14,14,14]", "flow.spacings": "[3.0]"}
DRAW_DEEP |= {"flow.widths": "[96,96]", "told": '["text","xray"]', "fit.log_every": "50"}
DRAWS_DEEP = Stage("flow:ct", DRAWN, 6000, DRAW_DEEP, CUTS_WHOLE.folder)
WHOLE_MADE = (CUTS_WHOLE, DRAWS_DEEP, WHOLE_ON)
SEEN = {"name": "body", "codec.companding.at": "[-0.6,-0.51,-0.45,-0.35]"}
SEEN |= {"codec.companding.slopes": "[4,16,4]"}
CUTS_BODY = Stage("codec:ct", BODY, 60, SMALL | SEEN, DRAWN_FIRST)
DRAW_BOTH = DRAW_DEEP | {"regrid": "true", "flow.codec": "body", "flow.spacings": "[2.0,3.0]"}
DRAWS_BOTH = Stage(
    "flow:ct", DRAWN_ON, 6000, DRAW_BOTH | {"fit.seed": "2"}, CUTS_BODY.folder, again=1
)
# What it is of, and what is wrong with it, is decided in nearly nothing but noise.
DRAW_NOISY = DRAW | {"told": '["text","xray"]', "fit.log_every": "50", "fit.seed": "3"}
DRAW_NOISY |= {"times.mean": "1.2", "times.deviation": "1.5", "guidance": "1.5"}
DRAWS_NOISY = Stage("flow:ct", DRAWN_ON, 4400, DRAW_NOISY, DRAWS_BOTH.folder, again=2)
BODY_ON = Stage("codec:ct", BODY, 1200, BEARS | SEEN, DRAWS_NOISY.folder, again=1)
BODY_MADE = (CUTS_BODY, DRAWS_BOTH, DRAWS_NOISY, BODY_ON)
MADE_ALL = (*FIRST, *WHOLE_MADE, *BODY_MADE)
POINTS = Stage("instruct", TRAINING, 6000, {"fit.log_every": "25"}, DRAWN_LAST)
REFINES = Stage("refine:xray", TRAINING, 7000, {"fit.log_every": "50"}, DRAWN_LAST)
STAGES = (*MADE_ALL, POINTS, REFINES)


def before_chests(out: Path) -> list[Chain]:
    """Chains that end with chests, and with reports that can be read and written."""
    chests = f"--anatomy thorax --with text,xray --counterfactuals 3 --masks -n {NUMBER} --seed 201"
    words = ["-m", "benchmarks.words", "-n", "4000", "-o", str(out / "words")]
    return [
        [_phantom(chests, out / CHESTS)],
        [words, train_line(READS, out), train_line(WRITES, out)],
    ]


def after_chests(out: Path) -> list[Chain]:
    """Chains that end with all flows."""
    told = [str(out / WRITES.folder), str(out / LOOKS.folder)]
    return [
        [train_line(SHOWS, out), train_line(DRAWS, out), train_line(DRAWS_ON, out)],
        [
            train_line(LOOKS, out),
            ["-m", "benchmarks.join", *told, "-o", str(out / TOLD / MODEL)],
            *(train_line(stage, out) for stage in (TELLS, FINDS, SAYS)),
        ],
    ]


def before_volumes(out: Path) -> list[Chain]:
    """Chains that end with heads and chests with a CT, and with the model that goes on."""
    heads = f"--anatomy head --labels {out / 'training-heads'}"
    told = f"{heads} --with text,ct --spacing 2 --counterfactuals 3 --masks -n 400"
    few = "--anatomy thorax --with text,xray,ct --counterfactuals 3 --masks -n 60 --seed 301"
    many = "--anatomy thorax --with text,xray,ct --counterfactuals 3 --masks -n 800 --seed 5001"
    coarse = "--anatomy thorax --with text,ct --counterfactuals 3 --masks -n 1100 --seed 5101"
    sides = "--anatomy thorax --with text,xray,xray:lateral --masks -n 450 --seed 8001"
    more = "--anatomy thorax --with text,xray,xray:lateral --masks -n 600 --seed 8101"
    worth = "--anatomy thorax --with text,xray,xray:lateral,ct -n 250 --seed 8201"
    return [
        [
            *(_phantom(f"{heads} -n 120 --seed 301", out / HEADS), _phantom(sides, out / LATERALS)),
            *(_phantom(more, out / MORE_LATERALS), _phantom(worth, out / CALIBRATING)),
            *(_phantom(f"{told} --seed {seed}", out / of) for of, seed in WHOLE_HEADS.items()),
        ],
        [
            _joining(FLAT, out, BEFORE),
            *(_phantom(few, out / FEW_CHESTS), _phantom(many, out / DEEP_CHESTS)),
            _phantom(f"{coarse} --spacing 2.5", out / WHOLE_CHESTS),
        ],
    ]


def after_volumes(out: Path) -> list[Chain]:
    """Chains that end with a codec of CT, and with a finder of several views and its writer."""
    return [[train_line(stage, out) for stage in stages] for stages in ((CUTS, CUTS_ON), FINDS_ON)]


def after_finder(out: Path) -> list[Chain]:
    """A chain that ends with encoders that read by the finder, and the flow that they tell."""
    return [
        [
            *(train_line(stage, out) for stage in MET),
            _joining((*FLAT, *DEEP, *MET), out, AGAIN),
            train_line(TELLS_2, out),
        ]
    ]


def after_all(out: Path) -> list[Chain]:
    """A chain that ends with the flow of CT, and its codec."""
    return [
        [
            _joining(FIRST, out, MADE),
            *(train_line(stage, out) for stage in WHOLE_MADE),
            _joining((*FIRST, *WHOLE_MADE), out, DRAWN_FIRST),
            *(train_line(stage, out) for stage in BODY_MADE),
            _joining(MADE_ALL, out, DRAWN_LAST),
        ]
    ]


def after_flows(out: Path) -> list[Chain]:
    """Chains that end with what reads references for the flow of radiographs, and refines them."""
    return [[train_line(POINTS, out)], [train_line(REFINES, out)]]


def joining(out: Path) -> Line:
    """The line that makes one model of all runs."""
    return _joining(STAGES, out, "flows")


def _joining(stages: Sequence[Stage], out: Path, name: str) -> Line:
    runs = [str(out / stage.folder) for stage in stages]
    return ["-m", "benchmarks.join", *runs, "--card", str(CARD), "-o", str(out / name / MODEL)]


def _phantom(options: str, folder: Path) -> Line:
    return ["-m", "medgen", "phantom", *options.split(), "--skip-existing", "-o", str(folder)]


def train_line(stage: Stage, out: Path, *, folder: str | None = None) -> Line:
    """The command of a run; its folder is the stage's own if nobody names another."""
    verb, _, encoder = stage.teaches.partition("align:")
    what = ["train", "--round", verb] if verb else ["align", "--train", encoder]
    settings = [w for key, value in stage.settings.items() for w in ("--set", f"{key}={value}")]
    cache = [] if stage is WRITES else ["--cache", str(out / "views")]
    start = ["--init", str(out / stage.init / MODEL)] if stage.init else []
    if stage.finder:
        start += ["--set", f"finder={out / stage.finder / MODEL}"]
    if stage.calibrates:
        start += ["--set", f"calibrate={out / stage.calibrates / MANIFEST}"]
    return [
        *("-m", "medgen", what[0], str(out / stage.manifest), *what[1:], *start),
        *("--card", str(CARD), "-o", str(out / (folder or stage.folder))),
        *("--steps", str(stage.steps), "--resume", *cache, *settings),
    ]


def list_chests(out: Path) -> None:
    """The manifests of what is trained on, and of what is kept to compare with."""
    studies = list(read_manifest(out / CHESTS / "manifest.jsonl"))
    first, compared, others = (
        studies[: COMPARED.start],
        studies[COMPARED],
        studies[COMPARED.stop : NUMBER],
    )
    write_manifest(first, out / TRAINING, overwrite=True)
    write_manifest(first + others, out / MORE, overwrite=True)
    write_manifest(compared, out / REFERENCE, overwrite=True)


def list_volumes(out: Path) -> None:
    """The manifests of what has volumes; studies are called by their folder as well."""
    heads, few, many, sides, more = (
        _named(out, folder) for folder in (HEADS, FEW_CHESTS, DEEP_CHESTS, LATERALS, MORE_LATERALS)
    )
    flat = list(read_manifest(out / MORE))
    once, apart, with_sides, deeper, aside = READ
    write_manifest(heads + few, out / VOLUMES, overwrite=True)
    write_manifest(_spread(flat, many), out / once, overwrite=True)
    write_manifest(_spread(flat[::4], many), out / apart, overwrite=True)
    write_manifest(_spread(flat[::8], many, sides), out / with_sides, overwrite=True)
    deep = [study if at % 3 == 0 else _only_ct(study) for at, study in enumerate(many)]
    write_manifest(_spread(flat[::32], deep, sides[::6]), out / deeper, overwrite=True)
    seen = [study for study in sides + more if study.laterals]
    write_manifest(_spread(flat[::6], seen), out / aside, overwrite=True)
    coarse = _named(out, WHOLE_CHESTS)
    write_manifest(coarse[:300], out / WHOLE, overwrite=True)
    write_manifest(many[:DRAWN_DEEP] + coarse, out / DRAWN, overwrite=True)
    whole_heads = [study for folder in WHOLE_HEADS for study in _named(out, folder)]
    write_manifest(_spread(coarse[:300], whole_heads[:150]), out / BODY, overwrite=True)
    write_manifest(whole_heads, out / DRAWN_HEADS, overwrite=True)
    again = _spread(many[:DRAWN_DEEP], coarse[:DRAWN_COARSE], whole_heads)
    write_manifest(again, out / DRAWN_ON, overwrite=True)


def _spread(*sets: list[Study]) -> list[Study]:
    """All of them, evenly mixed, since every tenth calibrates the finder."""
    places = [(at / len(each), study) for each in sets for at, study in enumerate(each)]
    return [study for _, study in sorted(places, key=lambda place: place[0])]


def _only_ct(study: Study) -> Study:
    cts = {kind: path for kind, path in study.images.items() if kind.modality is Modality.CT}
    return replace(study, images=cts)


def _named(out: Path, folder: str) -> list[Study]:
    return [
        replace(study, id=f"{folder}-{study.id}", patient=f"{folder}-{study.patient}")
        for study in read_manifest(out / folder / "manifest.jsonl")
    ]


def main(arguments: list[str] | None = None) -> int:
    """Run the commands; the first that fails ends it."""
    parser = argparse.ArgumentParser(prog="benchmarks.train_flows", description=__doc__)
    data_option(parser)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs"), metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="print the commands only")
    options = parser.parse_args(arguments)
    out = options.out
    first, second = before_chests(out), after_chests(out)
    third, fourth = before_volumes(out), after_volumes(out)
    fifth, sixth, seventh = after_finder(out), after_all(out), after_flows(out)
    last = [[joining(out)]]
    if options.dry_run:
        every = (*first, *second, *third, *fourth, *fifth, *sixth, *seventh, *last)
        print("\n".join(shown(line) for chain in every for line in chain))
        return 0
    link_heads(options.data, out / "training-heads")
    if code := run_chains(first):
        return code
    list_chests(out)
    if code := run_chains(second) or run_chains(third):
        return code
    list_volumes(out)
    rest = (fourth, fifth, sixth, seventh, last)
    return next(filter(None, map(run_chains, rest)), 0)


if __name__ == "__main__":
    sys.exit(main())
