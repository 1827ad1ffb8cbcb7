"""The sidecar says that the output is synthetic and how it was made; no detail can unsay it."""

import json
from pathlib import Path

import pytest

from medgen.errors import OutputError
from medgen.io.provenance import Provenance
from medgen.io.sidecar import sidecar_path, write_sidecar

MADE = Provenance("translate", "base", "0123456789abcdef", seed=7, steps=8)


def test_the_marks_cannot_be_replaced(tmp_path: Path) -> None:
    details = {"Synthetic": False, "ClippedVoxels": 3}
    path = write_sidecar(tmp_path / "head.v2_ct.nii.gz", MADE, details)
    facts = json.loads(path.read_text())
    assert path.name == "head.v2_ct.json"
    assert facts["Synthetic"] is True
    assert facts["ClippedVoxels"] == 3
    assert facts["Seed"] == 7
    assert facts["Description"] == MADE.sentence
    assert facts["Model"] == {"Name": "base", "SHA256": "0123456789abcdef"}


def test_it_is_never_replaced_unasked(tmp_path: Path) -> None:
    path = write_sidecar(tmp_path / "ct", MADE, {})
    assert path == sidecar_path(tmp_path / "ct") == tmp_path / "ct.json"
    with pytest.raises(OutputError, match=r"ct\.json: already exists"):
        write_sidecar(tmp_path / "ct", MADE, {})
    write_sidecar(tmp_path / "ct", MADE, {"Note": "é"}, overwrite=True)
    assert json.loads(path.read_text())["Note"] == "é"


def test_numbers_that_json_lacks_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_sidecar(tmp_path / "ct", MADE, {"Error": float("nan")})
    assert list(tmp_path.iterdir()) == []
