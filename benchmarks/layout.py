"""Which tables BENCHMARKS.md has, in which order, and how each is to be read."""

from collections.abc import Mapping, Sequence

from benchmarks.archive_tables import archive_tables
from benchmarks.cts_tables import cts_tables
from benchmarks.generation_tables import generation_tables
from benchmarks.instructing_tables import instructing_tables
from benchmarks.race_tables import race_tables
from benchmarks.reporting_tables import reporting_tables
from benchmarks.results import Column, Table
from benchmarks.retrieval_tables import ablation_table, retrieval_tables
from benchmarks.rows import Row
from benchmarks.scarce_tables import scarce_table
from benchmarks.segmenting_tables import segmenting_table
from benchmarks.tables import (
    ct_table,
    heads_table,
    mri_table,
    patients_table,
    sigma_table,
    simple_table,
)
from benchmarks.weaving_tables import weaving_tables

PAIRS = (
    "Limb and pelvis of patients whom no training saw, on the MRI's own grid; the mask is the data "
    "README's. The CT is resampled through the affines. Alignment is rigid, and no model can undo "
    "what is left."
)
EACH = "The same, patient by patient."
EDGE = (
    "As in the table above, but what lies less than half a voxel beyond the centre of the CT's "
    "last slice counts as air, as in the data README's reference figures for the constant."
)
HEADS = (
    "Label maps that no training saw, rendered as `heldout.json` says; inside the true head, on "
    "the truth's own grid. Means over the heads."
)
MRI = (
    "Each image to the range from 0 to 1 by its own 0.5 and 99.5 percentiles inside the mask; "
    "PSNR with range 1, SSIM in cubes of 7 voxels. The constant knows the truth's mean; SSIM does "
    "not apply to it. The simulated truths have noise and a receive field that nobody can predict."
)
SIGMA = (
    "With the scale and floor of the model's card, 1 and 0 until `benchmarks.calibrate` has fitted "
    "them on patients and heads of the training data; here they meet ones they have not seen."
)
SKULL = (
    "Share of rays from the middle of the brain into the upper hemisphere that cross 250 HU; no CT "
    "of these heads exists. Previews are kept in `runs/bench/previews`."
)
SPEED = (
    "`medgen translate`, NIfTI to NIfTI, from a cold start on the CPU: median, fastest and slowest "
    "of the repeats, and the largest peak. One head, scaled to fill a cube of so many voxels a "
    "side; the last line is `medgen --help`."
)
CODEC = "HU encoded and decoded with no network between, on the held-out heads."


def tables(parts: Mapping[str, Sequence[Row]]) -> list[Table]:
    """Every table, empty where nothing was measured."""
    pairs = parts["pairs"]
    return [
        ct_table(pairs, "pairs", "Real pairs: MRI to CT", PAIRS),
        patients_table(pairs, "pairs", "Real pairs: each patient", "mae", EACH),
        patients_table(
            pairs, "pairs", "Real pairs: as the data README counts", "mae_edge_as_air", EDGE
        ),
        heads_table(parts["heads"], "heads", "Held-out simulated heads: MRI to CT", HEADS),
        *race_tables(parts["race"]),
        mri_table(parts["mri"], MRI),
        sigma_table(parts["sigma"], SIGMA),
        simple_table(
            parts["skull"],
            "skull",
            "Real heads: closed skull",
            SKULL,
            [("closed_share", Column("closed share", 3))],
        ),
        simple_table(
            parts["speed"],
            "speed",
            "Time and memory",
            SPEED,
            [
                ("seconds", Column("seconds", 2)),
                ("fastest", Column("fastest", 2)),
                ("slowest", Column("slowest", 2)),
                ("peak_gb", Column("peak, GB", 2)),
                ("microseconds_a_voxel", Column("µs a voxel", 2)),
            ],
        ),
        simple_table(
            parts["codec"],
            "codec",
            "Codec",
            CODEC,
            [("largest_hu", Column("largest error, HU", 5)), ("mean_hu", Column("mean, HU", 5))],
        ),
        *retrieval_tables(parts["retrieval"]),
        ablation_table(parts["ablation"]),
        *generation_tables(parts["generation"]),
        *cts_tables(parts),
        *reporting_tables(parts["reports"]),
        *weaving_tables(parts["weaving"]),
        scarce_table(parts["scarce"]),
        segmenting_table(parts["segmenting"]),
        *instructing_tables(parts["instruct"], parts["refine"]),
        *archive_tables(parts["archive"]),
    ]
