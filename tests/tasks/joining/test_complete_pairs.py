"""What a round lacks is made in its own folder, once, and the model says so."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from medgen.checkpoint import read_card
from medgen.data.manifest import read_manifest
from medgen.data.study import Study
from medgen.errors import UsageError
from medgen.modality import Modality
from medgen.tasks.joining.complete_pairs import Completed, complete_pairs
from medgen.tasks.joining.train import train_cross
from medgen.tasks.rehearsal_studies import counted
from tests.tasks.world_toy import round_config

TEXT_XRAY = (Modality.TEXT, Modality.XRAY)


def without(study: Study, modality: Modality) -> Study:
    kept = {kind: path for kind, path in study.images.items() if kind.modality is not modality}
    return replace(study, images=kept)


@pytest.fixture
def studies(world: SimpleNamespace) -> list[Study]:
    return read_manifest(world.manifest)[:1]


def test_each_kind_is_made_once(studies: list[Study], tmp_path: Path, tiny_model: Path) -> None:
    def complete(modality: Modality, *pair: Modality) -> Completed:
        lacking = [without(one, modality) for one in studies]
        translator = str(tiny_model)
        return complete_pairs(lacking, pair, tmp_path, translator=translator, device="cpu")

    xray = complete(Modality.XRAY, *TEXT_XRAY)
    ct = complete(Modality.CT, Modality.CT, Modality.MRI)
    mri = complete(Modality.MRI, Modality.CT, Modality.MRI)
    assert (xray.made, ct.made, mri.made) == ({"xray": 1}, {"ct": 1}, {"mri:t1": 1})
    (path,) = xray.studies[0].of(Modality.XRAY)
    assert path.parent == tmp_path / "s0"
    assert json.loads(path.with_suffix(".json").read_text())["Model"]["Name"] == "projection"
    before = path.stat().st_mtime_ns
    assert complete(Modality.XRAY, *TEXT_XRAY) == xray
    assert path.stat().st_mtime_ns == before


def test_nothing_is_made_where_it_makes_no_pair(studies: list[Study], tmp_path: Path) -> None:
    mute = replace(without(studies[0], Modality.XRAY), text=None)
    blind = replace(mute, images={})
    for study in (mute, blind, studies[0]):
        made = complete_pairs([study], TEXT_XRAY, tmp_path, translator="base", device="cpu")
        assert made == Completed([study], {})
    assert not list(tmp_path.iterdir())


def test_a_round_completes_its_pairs_and_says_so(world: SimpleNamespace, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in world.manifest.read_text().splitlines()][:2]
    for row in rows:
        del row["xray"]
    bare = world.manifest.parent / "no-xray.jsonl"
    bare.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = round_config("text-xray", world.flows, steps=1, batch=2)
    whole = replace(config, complete_pairs=True)
    assert (counted(config, bare), counted(whole, bare)) == (0, 2)
    with pytest.raises(UsageError, match="column xray is missing in 2 of 2"):
        list(train_cross(config, tmp_path, manifest=bare))
    list(train_cross(whole, tmp_path, manifest=bare))
    extra = read_card(tmp_path / "model").extra
    assert extra["training-text-xray"]["made"] == {"xray": 2}
    assert (tmp_path / "pairs" / "s0").is_dir()
