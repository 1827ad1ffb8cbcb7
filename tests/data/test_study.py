"""A study answers for a modality whatever its contrast, and knowing it costs no torch."""

import subprocess
import sys
from pathlib import Path

from medgen.data.study import Study
from medgen.modality import Kind

STUDY = Study(
    "s1",
    "p1",
    {
        Kind.parse("mri:t1"): Path("t1.nii"),
        Kind.parse("ct"): Path("ct"),
        Kind.parse("mri"): Path("m"),
    },
    Path("report.txt"),
)


def test_of_finds_every_contrast_in_order() -> None:
    assert STUDY.of("mri") == [Path("t1.nii"), Path("m")]
    assert STUDY.of("xray") == []


def test_files_are_all_files() -> None:
    assert STUDY.files == [Path("t1.nii"), Path("ct"), Path("m"), Path("report.txt")]


def test_manifest_and_study_load_no_torch() -> None:
    code = "import sys, medgen.data.manifest, medgen.data.study; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_radiograph_from_the_side_is_apart() -> None:
    images = {Kind.parse("xray"): Path("pa.png"), Kind.parse("xray:lateral"): Path("side.png")}
    study = Study("s1", "p1", images)
    assert study.of("xray") == [Path("pa.png")]
    assert study.laterals == [Path("side.png")]
