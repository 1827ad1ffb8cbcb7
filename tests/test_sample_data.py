"""The sample data is small, is what its README says, and comes out of medgen as it is today."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from medgen.cli import app
from medgen.data.manifest import read_manifest
from medgen.data.table import read_table
from medgen.io import files
from medgen.modality import Modality

SAMPLES = Path(__file__).parent.parent / "sample_data"
README = (SAMPLES / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^medgen (.*)$", README, re.MULTILINE)


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 3_000_000


def test_the_manifest_is_right() -> None:
    (study,) = read_manifest(SAMPLES / "manifest.jsonl")
    assert [str(kind) for kind in study.images] == ["ct", "mri:t1", "mri:t2"]
    grids = {str(files.read(path).geometry.affine.tolist()) for path in study.images.values()}
    assert len(grids) == 1


def test_the_table_lists_both_heads() -> None:
    renaming = {"subject": "patient", "scan": "mri:t1", "age": ""}
    listing = read_table(SAMPLES / "scans.csv", renaming)
    assert listing.problems == ()
    assert [study.patient for study in listing.studies.values()] == ["p1", "p2"]


def test_every_file_is_in_the_readme() -> None:
    for path in SAMPLES.iterdir():
        assert path.name == "README.md" or path.name in README


def test_the_dicom_series_is_an_mri() -> None:
    image = files.read(SAMPLES / "t1_dicom")
    assert image.kind is not None
    assert image.kind.modality is Modality.MRI
    assert image.geometry.spacing == pytest.approx((3, 3, 3))


def test_findings_are_of_a_normal_head() -> None:
    facts = json.loads((SAMPLES / "findings.json").read_text())["head"]
    assert facts == json.loads((SAMPLES / "head" / "findings.json").read_text())
    assert facts["findings"] == []


@pytest.mark.slow
def test_the_command_still_makes_the_same_head(tmp_path: Path) -> None:
    """T1 alone is the T1 of the whole study; another processor may round a few voxels away."""
    words = shlex.split(COMMANDS[0].replace("t1,t2", "t1"))
    words[words.index("-o") + 1] = str(tmp_path / "made")
    assert app.main(words) == 0
    for name in ("ct", "t1"):
        made = files.read(tmp_path / "made" / "study-0001" / f"{name}.nii.gz")
        kept = files.read(SAMPLES / "head" / f"{name}.nii.gz")
        assert np.allclose(made.geometry.affine, kept.geometry.affine)
        assert (made.voxels != kept.voxels).mean() < 1e-3
        assert np.abs(made.voxels - kept.voxels).max() <= 1
