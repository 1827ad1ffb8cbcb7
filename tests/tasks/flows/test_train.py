"""A flow is resumable to the bit, keeps frozen parts, and its card says what it heard."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from medgen.checkpoint import read_card, save_model
from medgen.config import from_mapping
from medgen.errors import ModelError, UsageError
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import load_phrases
from medgen.modality import Modality
from medgen.tasks.aligning.model import load_aligner
from medgen.tasks.fitting.fit import MODEL
from medgen.tasks.flows.flow import FlowConfig
from medgen.tasks.flows.model import load_flow
from medgen.tasks.flows.prompt import retold_as
from medgen.tasks.flows.train import FlowTrainConfig, flow_studies, train_flow
from medgen.tasks.model_parts import parts_of
from tests.tasks.align_toy import PLACES
from tests.tasks.flow_toy import FIT, FLOW, OF_REPORTS

DEVICE = torch.device("cpu")


def trained(config: FlowTrainConfig, out: Path, manifest: Path, **more: bool) -> dict[str, object]:
    for _ in train_flow(config, out, manifest=manifest, **more):
        pass
    return load_flow(out / MODEL, config.modality, DEVICE).flow.state_dict()


def test_the_card_says_what_was_heard(corner_flows: SimpleNamespace) -> None:
    extra = read_card(corner_flows.model).extra
    assert extra["told-xray"] == ["text"]
    assert extra["findings-xray"] == []  # four studies are too few to learn a finding from
    assert extra["training-flow-xray"]["drop"] == FLOW.drop


def test_a_stopped_run_ends_as_if_it_had_not(corner_flows: SimpleNamespace, tmp_path: Path) -> None:
    short = replace(FIT, steps=4, warmup=0, save_every_steps=2)
    config = replace(FLOW, init=str(corner_flows.codecs), fit=short)
    whole = trained(config, tmp_path / "whole", corner_flows.manifest)
    steps = iter(train_flow(config, tmp_path / "halves", manifest=corner_flows.manifest))
    for _ in range(3):
        next(steps)
    del steps
    resumed = trained(config, tmp_path / "halves", corner_flows.manifest, resume=True)
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name


def test_frozen_parts_stay(corner_flows: SimpleNamespace, tmp_path: Path) -> None:
    fit = replace(FIT, steps=2, warmup=0)
    config = replace(FLOW, init=str(corner_flows.model), freeze=("conditioner",), fit=fit)
    after = trained(config, tmp_path, corner_flows.manifest)
    before = load_flow(corner_flows.model, Modality.XRAY, DEVICE).flow.state_dict()
    same = {name for name, tensor in before.items() if torch.equal(tensor, after[name])}
    assert {name for name in before if name.startswith("conditioner.")} <= same
    assert any(name not in same for name in before if name.startswith("network."))
    with pytest.raises(UsageError, match="--freeze nothing: no such part"):
        trained(replace(config, freeze=("nothing",)), tmp_path / "b", corner_flows.manifest)


def test_a_flow_of_reports_is_told_of_radiographs(
    corner_flows: SimpleNamespace, tmp_path: Path
) -> None:
    shape = {**OF_REPORTS, "res_blocks": 1}
    config = from_mapping(FlowTrainConfig, {"init": str(corner_flows.model), "flow": shape})
    trained(replace(config, fit=replace(FIT, steps=2)), tmp_path, corner_flows.manifest)
    card = read_card(tmp_path / MODEL)
    assert card.extra["told-text"] == ["xray"]
    assert {"flow-xray", "flow-text"} <= card.parts.keys()


def test_who_goes_on_remembers_what_was_learned_before(
    corner_flows: SimpleNamespace, tmp_path: Path
) -> None:
    before = tmp_path / "before"
    shutil.copytree(corner_flows.model, before)
    card = read_card(before)
    extra = {**card.extra, "findings-xray": ["mass"], "told-xray": ["ct", "text"]}
    parts, configs, _ = parts_of(before)
    save_model(before, replace(card, extra=extra), parts, configs=configs, overwrite=True)
    config = replace(FLOW, init=str(before), fit=replace(FIT, steps=1))
    trained(config, tmp_path / "run", corner_flows.manifest)
    after = read_card(tmp_path / "run" / MODEL)
    assert after.extra["findings-xray"] == ["mass"]
    assert after.extra["told-xray"] == ["ct", "text"]
    assert after.steps == card.steps + 1
    assert after.lineage == (*card.lineage, read_card(before).digest)


def test_another_shape_than_the_one_it_goes_on_with_is_refused(
    corner_flows: SimpleNamespace, tmp_path: Path
) -> None:
    larger = replace(FLOW, init=str(corner_flows.model), flow=replace(FLOW.flow, widths=(64, 64)))
    with pytest.raises(UsageError, match="--init: has another shape"):
        trained(larger, tmp_path, corner_flows.manifest)
    usual = replace(FLOW, init=str(corner_flows.model), fit=replace(FIT, steps=1))
    trained(replace(usual, flow=FlowConfig()), tmp_path, corner_flows.manifest)


def test_radiographs_without_reports_can_be_learned_from(
    corner_flows: SimpleNamespace, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in corner_flows.manifest.read_text().splitlines()]
    bare = corner_flows.manifest.parent / "radiographs.jsonl"
    keys = ("id", "patient", "xray")
    bare.write_text("".join(json.dumps({key: row[key] for key in keys}) + "\n" for row in rows))
    config = replace(FLOW, init=str(corner_flows.codecs), fit=replace(FIT, steps=1))
    trained(config, tmp_path, bare)
    assert read_card(tmp_path / MODEL).extra["told-xray"] == []


def test_every_other_text_is_as_prompts_are_retold(corner_flows: SimpleNamespace) -> None:
    encoders = load_aligner(corner_flows.codecs, DEVICE)
    shape = load_flow(corner_flows.model, Modality.XRAY, DEVICE).flow.config
    config = replace(FLOW, init=str(corner_flows.codecs), retell=True, flow=shape)
    studies = flow_studies(config, corner_flows.manifest, encoders, DEVICE)
    for study, text in zip(studies.values(), PLACES, strict=True):
        told, retold = study.texts
        assert told == text
        assert retold == retold_as(read_findings(text, load_phrases())) != text


def test_refusals(corner_flows: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot make text; it makes xray"):
        load_flow(corner_flows.model, Modality.TEXT, DEVICE)
    with pytest.raises(ModelError, match="no such model folder"):
        trained(replace(FLOW, init="gone"), tmp_path, corner_flows.manifest)
    focused = replace(FLOW, init=str(corner_flows.codecs), focus=1.0)
    with pytest.raises(UsageError, match="no study has masks"):
        trained(focused, tmp_path, corner_flows.manifest)
    with pytest.raises(UsageError, match="flows of images that are told text"):
        replace(FLOW, retell=True, told=(Modality.CT,))
    with pytest.raises(UsageError, match="only drawn in images"):
        replace(FLOW, focus=1.0, flow=FlowConfig(modality=Modality.TEXT, grid=(4,)))
