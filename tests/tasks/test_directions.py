"""Every cell of the matrix of directions is a command that works."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from medgen.checkpoint import read_card
from medgen.cli import app
from medgen.modality import Modality
from medgen.tasks.directions import Direction, directions, directions_of
from tests.tasks.world_toy import TEXTS

FILES = {"xray": "xray.png", "ct": "ct.nii.gz", "mri": "t1.nii.gz"}
WORDS = {"mri": "mri:t1"}
PARTS = (
    "translator",
    *(f"{kind}-{m}" for kind in ("flow", "listener") for m in Modality),
    *Modality,
)
ALL = directions(PARTS)


def test_the_whole_matrix() -> None:
    assert {(str(one.source), str(one.target)) for one in ALL} == {
        (source, target)
        for source in ("text", "xray", "ct", "mri")
        for target in ("xray", "ct", "mri")
        if source != target or source == "mri"
    }


def test_a_model_can_do_what_its_parts_can(world: SimpleNamespace, tiny_model: Path) -> None:
    alone = {one.command for one in directions(read_card(world.flows).parts)}
    assert alone == {"generate --text", "generate --from"}
    assert "translate --engine flow" in {
        one.command for one in directions(read_card(world.model).parts)
    }
    assert {one.command for one in directions(read_card(tiny_model).parts)} == {"translate"}


def test_references_and_refining_stay_within_a_modality() -> None:
    alone = ["flow-xray", "xray", "instruct-ct", "refine-ct"]  # nothing without its flow
    assert directions(alone) == []
    assert directions([*alone, "instruct-xray", "refine-xray"]) == [
        Direction(Modality.XRAY, Modality.XRAY, "generate --ref"),
        Direction(Modality.XRAY, Modality.XRAY, "generate --refine"),
    ]


def test_a_finder_reports_what_it_reads(corner_reports: SimpleNamespace) -> None:
    found = directions_of(read_card(corner_reports.model))
    assert [one for one in found if one.target is Modality.TEXT] == [
        Direction(Modality.XRAY, Modality.TEXT, "report")
    ]


@pytest.mark.parametrize("cell", ALL, ids=lambda c: f"{c.source}-{c.target}-{c.command}")
def test_each_cell_runs(
    cell: Direction, world: SimpleNamespace, tiny_model: Path, tmp_path: Path
) -> None:
    study = world.manifest.parent / "s0"
    source, target = str(cell.source), str(cell.target)
    verb, *options = cell.command.split()
    model = tiny_model if cell.command == "translate" else world.model
    words = [verb, "--model", str(model), "--device", "cpu", "-o", str(tmp_path)]
    if verb == "translate":
        to = "mri:t2" if source == target else WORDS.get(target, target)
        words += [str(study / FILES[source]), "--from", WORDS.get(source, source), "--to", to]
        words += options + (["--steps", "1"] if options else [])
    else:
        said = (
            TEXTS[0] if source == "text" else f"{WORDS.get(source, source)}={study / FILES[source]}"
        )
        words += [*options, said, "--modality", WORDS.get(target, target), "--steps", "1"]
    assert app.main(words) == 0
    (sidecar,) = tmp_path.glob("*.json")
    made = json.loads(sidecar.read_text())
    assert made["Kind"].partition(":")[0] == target
    assert made["Synthetic"]
