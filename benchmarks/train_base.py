"""Train the bundled translator again: the commands, in order, and nothing hidden between them.

Each phase starts from the averaged weights of the one before: heads first, with a few real pairs;
then as many real pairs; then limbs are simulated too; in base-9 the norms are fixed, patches are
larger, and two processes share each step; in base-10 layers of detail come in, and scans and marrow
vary more; from base-11 on the two finest levels are wider; in base-11 and base-12 squared errors do
not count; from base-12 on MRIs are also shown with their dark end stretched; from base-14 on bone
is not always black, in base-15 there are more real pairs, and in base-18 limbs are fatter. In
base-3, base-6 and from base-8 on, but for base-11, base-13 and base-17, the learning rate falls to
0. Then sigma is calibrated. Stopped at any moment, the same command continues. Eleven things no
command says: base-4 to base-6 drew the inversion times of T1 from 850 ms, not from the phantom's
750 ms; up to base-6 a quarter of the patches was cut, on one side, where now three in ten are, some
of them on several; up to base-9 the spongy bone of limbs was as dense as the marrow of a skull; up
to base-11 the padding of real pairs was shown as air; in base-14 the air around a patient with
bright bone was not black either; up to base-15 limbs had no skin; up to step 2516 of base-16 no MRI
was coarser than 3 mm; up to base-16 limbs had no mirror image beside them, and marrow no patches;
in base-17 no limb touched its image; up to step 443 of base-18 pairs were mirrored left to right
alone; and up to base-18 all limbs were simulated as they lie in their CT.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import HELD_OUT_HEADS, data_option

CARD = Path(__file__).with_name("base_card.toml")


@dataclass(frozen=True)
class Phase:
    """One run of `medgen train`, started from the one before.

    Attributes:
        name: Folder of the run.
        steps: How many, of two examples each.
        settings: What differs from the defaults.
        has_limbs: Whether limbs are simulated as well as heads.
        processes: That share a step.
    """

    name: str
    steps: int
    settings: dict[str, str]
    has_limbs: bool = True
    processes: int = 2


COMMON = {
    "fit.batch": "2",
    "fit.precision": "fp32",
    "fit.ema_decay": "0.998",
    **{
        f"examples.{share}": "0"
        for share in ("fatty", "yellow_marrow", "dim_fat", "coarse", "spill")
    },
}
WIDE = {  # large patches, every direction
    "examples.patch": "80",
    "examples.real": "0.22",
    "examples.to_ct": "0.8",
    "examples.regression": "0.8",
}
SMALL = {  # small patches: more steps in the same time; most of them MRI to CT
    "examples.patch": "64",
    "examples.real": "0.18",
    "examples.to_ct": "0.88",
    "examples.regression": "0.88",
}
LARGE = {  # norms fixed, so that what is learnt from a patch holds for whatever surrounds it
    "translator.norm": "affine",
    "examples.patch": "96",
    "examples.real": "0.3",
    "examples.to_ct": "0.85",
    "examples.regression": "0.9",
}
CONSTANT = {"fit.learning_rate": "1e-3", "fit.decay": "none", "fit.warmup": "20"}
FALLING = CONSTANT | {"fit.decay": "linear", "fit.min_lr_share": "0.0"}
VARIED = {  # marrow and scans
    "examples.yellow_marrow": "0.7",
    "examples.dim_fat": "0.5",
    "examples.coarse": "0.25",
}
WIDER = (  # mostly MRI to CT
    LARGE
    | FALLING
    | VARIED
    | {"examples.real": "0.25", "examples.to_ct": "0.88", "examples.regression": "0.92"}
    | {"squares": "0", "fit.precision": "bf16", "fit.warmup": "50"}
)
GREY_BONE = WIDER | {"examples.spill": "0.5", "squares": "0.5"}
PHASES = (
    Phase(
        "base-1",
        650,
        WIDE | {"fit.learning_rate": "2e-3", "fit.decay": "none", "fit.seed": "0"},
        has_limbs=False,
        processes=1,
    ),
    Phase(
        "base-2",
        3142,
        SMALL | {"fit.learning_rate": "1e-3", "fit.decay": "none", "fit.seed": "1"},
        has_limbs=False,
        processes=1,
    ),
    Phase(
        "base-3",
        1800,
        SMALL | FALLING | {"fit.seed": "2"},
        has_limbs=False,
        processes=1,
    ),
    Phase(
        "base-4",
        3371,
        SMALL
        | {"examples.real": "0.5", "examples.to_ct": "0.9", "examples.regression": "0.9"}
        | CONSTANT
        | {"fit.seed": "3"},
        has_limbs=False,
        processes=1,
    ),
    Phase(
        "base-5",
        4008,
        SMALL
        | {"examples.real": "0.35", "examples.to_ct": "0.9", "examples.regression": "0.9"}
        | CONSTANT
        | {"fit.seed": "4"},
        processes=1,
    ),
    Phase(
        "base-6",
        4800,
        SMALL | FALLING | {"examples.real": "0.35", "fit.seed": "5"},
        processes=1,
    ),
    Phase(
        "base-7",
        9000,
        SMALL
        | {"examples.real": "0.18", "examples.to_ct": "0.75", "examples.regression": "0.9"}
        | CONSTANT
        | {"fit.seed": "6"},
        processes=1,
    ),
    Phase(
        "base-8",
        5000,
        SMALL
        | {"examples.real": "0.2", "examples.to_ct": "0.8", "examples.regression": "0.9"}
        | FALLING
        | {"fit.seed": "7"},
        processes=1,
    ),
    Phase(
        "base-9",
        5600,
        LARGE | FALLING | {"fit.precision": "bf16", "fit.warmup": "50", "fit.seed": "8"},
    ),
    Phase(
        "base-10",
        6000,
        LARGE
        | FALLING
        | {"translator.detail": "64"}
        | VARIED
        | {"fit.precision": "bf16", "fit.warmup": "50", "fit.seed": "9"},
    ),
    Phase(
        "base-11",
        2218,
        WIDER
        | {"translator.widths": "[24,48,64,128,128]", "fit.min_lr_share": "0.5293"}
        | {"fit.warmup": "100", "fit.seed": "10"},
    ),
    Phase(
        "base-12",
        2400,
        WIDER | {"translator.knee": "0.02", "fit.learning_rate": "8e-4", "fit.seed": "11"},
    ),
    Phase(
        "base-13",
        3435,
        WIDER
        | {"squares": "0.5", "fit.learning_rate": "8e-4", "fit.min_lr_share": "0.2874"}
        | {"fit.seed": "12"},
    ),
    Phase(
        "base-14",
        1700,
        GREY_BONE | {"fit.learning_rate": "5e-4", "fit.seed": "13"},
    ),
    Phase(
        "base-15",
        800,
        GREY_BONE | {"examples.real": "0.35", "fit.learning_rate": "4e-4", "fit.seed": "14"},
    ),
    Phase(
        "base-16",
        4800,
        GREY_BONE | {"examples.real": "0.3", "fit.learning_rate": "8e-4", "fit.seed": "15"},
    ),
    Phase(
        "base-17",
        852,
        GREY_BONE
        | {"examples.real": "0.3", "fit.learning_rate": "8e-4", "fit.min_lr_share": "0.6974"}
        | {"fit.seed": "16"},
    ),
    Phase(
        "base-18",
        2200,
        GREY_BONE
        | {"examples.real": "0.3", "examples.fatty": "0.25"}
        | {"fit.learning_rate": "8e-4", "fit.seed": "17"},
    ),
)


def commands(data: Path, out: Path, phases: Sequence[Phase] = PHASES) -> list[list[str]]:
    """The command lines, in order.

    Args:
        data: The data folder.
        out: Gets `pairs.jsonl` and a folder for each phase; the model of the last is the result.
        phases: What to train, one from the other.
    """
    manifest, limbs = out / "pairs.jsonl", out / "labels"
    lines = [
        ["-m", "benchmarks.data", "--data", str(data), "-o", str(manifest)],
        ["-m", "benchmarks.limbs", "--data", str(data), "-o", str(limbs)],
    ]
    for before, phase in zip([None, *phases], phases, strict=False):
        init = ["--init", str(out / before.name / "model")] if before else []
        labels = limbs if phase.has_limbs else data / "heads"
        lines.append([*_train(manifest, labels, out / phase.name, phase), *init])
    model = out / phases[-1].name / "model"
    lines.append(["-m", "benchmarks.calibrate", "--data", str(data), "--model", str(model)])
    return lines


def _train(manifest: Path, labels: Path, out: Path, phase: Phase) -> list[str]:
    settings = [
        word
        for key, value in (COMMON | phase.settings).items()
        for word in ("--set", f"{key}={value}")
    ]
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(phase.processes)]
    return [
        *(launch if phase.processes > 1 else ()),
        *("-m", "medgen", "train", str(manifest), "--allow-outside"),
        *("--labels", str(labels), "--hold-out", ",".join(HELD_OUT_HEADS)),
        *("--card", str(CARD), "-o", str(out), "--steps", str(phase.steps), "--resume", *settings),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Run the commands; the first that fails ends it."""
    parser = argparse.ArgumentParser(prog="benchmarks.train_base", description=__doc__)
    data_option(parser)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs"), metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="print the commands only")
    options = parser.parse_args(arguments)
    for line in commands(options.data, options.out):
        print(shlex.join(["python", *line]), flush=True)
        if not options.dry_run and (code := subprocess.run([sys.executable, *line]).returncode):
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
