"""All rounds of a small model: each teaches one flow more, and leaves all else as it was."""

import json
import multiprocessing
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from medgen.checkpoint import load_part, read_card
from medgen.crossguide.flows import CrossGuide
from medgen.data.standard import StandardConfig
from medgen.errors import ModelError, UsageError
from medgen.modality import Modality
from medgen.tasks import rehearsal
from medgen.tasks.codecs.images import framed_whole, whole_grid
from medgen.tasks.codecs.model import load_codec
from medgen.tasks.flows.cross_model import load_guide
from medgen.tasks.flows.model import common_spacings, load_flow
from medgen.tasks.joining.train import train_cross
from medgen.tasks.rehearsal import rehearse
from tests.tasks.world_toy import ROUNDS, SIDE, SPACING, one_of_two, round_config

NEW = {"text-xray": ("text", "xray"), "text-ct": ("ct",), "ct-mri": ("mri",)}
KINDS = ("environment", "listener")


def guide_of(model: Path) -> CrossGuide:
    flows = {
        str(name): load_flow(model, name, torch.device("cpu")).flow
        for name in Modality
        if f"flow-{name}" in read_card(model).parts
    }
    return load_guide(model, flows)


def test_each_round_adds_its_flows_and_changes_nothing(world: SimpleNamespace) -> None:
    """PAPERS, golden check 4: every frozen tensor is the same, by its hash."""
    before = read_card(world.flows).parts
    for name in ROUNDS:
        card = read_card(world.rounds[name])
        assert card.parts.keys() - before.keys() == {f"{k}-{n}" for k in KINDS for n in NEW[name]}
        assert {part: card.parts[part] for part in before} == before
        hashes = card.extra[f"training-{name}"]["frozen"]
        assert hashes == {part: one.sha256 for part, one in before.items()}
        before = card.parts


def test_who_hears_whom(world: SimpleNamespace) -> None:
    """True by all that is told, False by the place in the shared space: never trained as a pair."""
    guide = guide_of(world.model)
    others = {
        name: [one for one in map(str, Modality) if one != name] for name in map(str, Modality)
    }
    assert {name: guide.heard(name, others[name]) for name in others} == {
        "text": {"xray": True, "ct": False, "mri": False},
        "xray": {"text": True, "ct": False, "mri": False},
        "ct": {"text": True, "xray": False, "mri": False},
        "mri": {"ct": True, "text": False, "xray": False},
    }


def test_a_rehearsal_counts_what_a_round_teaches(
    world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of flows that an earlier round has taught, nothing learns; but they take memory."""
    monkeypatch.setattr(rehearsal, "available_bytes", lambda: 0.0)  # counted, not timed
    before = world.flows
    for name in ROUNDS:
        after, config = world.rounds[name], round_config(name, before)
        learned = [
            tensor.numel()
            for one in NEW[name]
            for kind in KINDS
            for tensor in load_part(after, read_card(after), f"{kind}-{one}").values()
        ]
        plan = rehearse(name, config, world.manifest)
        assert plan.parameters == sum(learned) + 1  # the temperature
        flows = [load_flow(before, one, torch.device("cpu")).flow for one in config.pair]
        weights = sum(each.numel() for flow in flows for each in flow.parameters())
        assert plan.memory_gb * 1e9 > 4 * (5 * plan.parameters + weights)
        before = after
    with pytest.raises(UsageError, match="listen to each other already"):
        rehearse("ct-mri", replace(config, init=str(before)), None)


def test_all_rounds_share_one_space(world: SimpleNamespace, tmp_path: Path) -> None:
    config = round_config("text-ct", world.rounds["text-xray"])
    wide = replace(config, cross=replace(config.cross, embedding=32))
    with pytest.raises(UsageError, match=r"say --set cross\.embedding=16"):
        list(train_cross(wide, tmp_path, manifest=world.manifest))


def test_a_round_that_comes_too_late_says_so(world: SimpleNamespace, tmp_path: Path) -> None:
    config = round_config("text-xray", world.model)
    late = replace(config, pair=(Modality.XRAY, Modality.CT))
    with pytest.raises(UsageError, match="listen to each other already"):
        list(train_cross(config, tmp_path, manifest=world.manifest))
    with pytest.raises(UsageError, match="listen to each other already"):
        list(train_cross(late, tmp_path, manifest=world.manifest))


@pytest.mark.parametrize(("name", "column"), [("text-ct", "ct"), ("ct-mri", "mri:t1")])
def test_a_manifest_without_pairs_says_what_is_missing(
    world: SimpleNamespace, tmp_path: Path, name: str, column: str
) -> None:
    rows = [json.loads(line) for line in world.manifest.read_text().splitlines()]
    for row in rows[1:]:
        del row[column]
    rows[0]["split"] = "test"
    bare = world.manifest.parent / f"bare-{name}.jsonl"
    bare.write_text("".join(json.dumps(row) + "\n" for row in rows))
    missing = f"column {column.partition(':')[0]} is missing in 2 of 2"
    with pytest.raises(UsageError, match=missing):
        list(train_cross(round_config(name, world.flows), tmp_path, manifest=bare))


def test_a_volume_lies_on_the_grid_of_its_study(
    world: SimpleNamespace, volumes: SimpleNamespace, tmp_path: Path
) -> None:
    """Of an MRI of the right half, the left half of the CT's grid shows nothing."""
    half = volumes.save(volumes.head("mri", (26, 24, 28))[:13], tmp_path / "t1.nii.gz")
    frame = StandardConfig(shape=(SIDE, SIDE, SIDE), spacings=(SPACING,))
    grid = whole_grid(world.manifest.parent / "s0" / "ct.nii.gz", Modality.CT, frame)
    image = framed_whole(half, Modality.MRI, frame, grid).image[0]
    assert (image[SIDE // 2 + 1 :] == -1).all()
    assert (image[: SIDE // 2] > -0.5).any()
    own = framed_whole(half, Modality.MRI, frame).image[0]
    assert (own[SIDE // 2 + 1 :] > -0.5).any()


def test_flows_of_different_grids_are_no_pair(world: SimpleNamespace) -> None:
    cpu = torch.device("cpu")
    pair = {
        name: (load_flow(world.model, name, cpu).flow, load_codec(world.model, name, cpu))
        for name in (Modality.CT, Modality.MRI)
    }
    assert common_spacings(pair) == (SPACING,)
    pair[Modality.MRI][0].config = replace(pair[Modality.MRI][0].config, spacings=(2.0,))
    with pytest.raises(ModelError, match="16 voxels of 8 mm, mri 16 x 16 x 16 voxels of 2 mm"):
        common_spacings(pair)


@pytest.mark.slow
def test_two_processes_are_one_but_for_rounding(world: SimpleNamespace, tmp_path: Path) -> None:
    before = dict(zip(ROUNDS, (world.flows, *world.rounds.values()), strict=False))
    inits = {name: str(init) for name, init in before.items()}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.tasks.world_toy"])
    port = random.randrange(20_000, 30_000)
    processes = [
        context.Process(
            target=one_of_two, args=(rank, port, str(world.manifest), inits, str(tmp_path))
        )
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    for name in ROUNDS:
        folders = world.rounds[name], tmp_path / name / "model"
        cards = [read_card(folder) for folder in folders]
        for part in (f"{kind}-{one}" for kind in KINDS for one in NEW[name]):
            one, two = (
                load_part(folder, card, part) for folder, card in zip(folders, cards, strict=True)
            )
            for key in one:
                assert (one[key] - two[key]).norm() <= 3e-3 * one[key].norm()  # Adam, fp16
        lines = (
            json.loads((folder.parent / "metrics.jsonl").read_text().splitlines()[-1])
            for folder in folders
        )
        one, two = (line["loss"]["total"] for line in lines)
        assert one == pytest.approx(two, rel=1e-4)
