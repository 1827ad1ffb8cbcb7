"""An archive teaches by neighbours: never the patient's own, and it is told who they are."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from medgen.checkpoint import read_card
from medgen.config import from_mapping
from medgen.data.study import Study
from medgen.errors import InputError, UsageError
from medgen.instruct.instruction import Role
from medgen.instruct.retrieval import Neighbours, neighbours
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.instructing.archive import archive_report
from medgen.tasks.instructing.archive_train import (
    ArchiveItems,
    ArchiveTrainConfig,
    clusters_of,
    train_archive,
)
from medgen.tasks.instructing.studies import InstructStudy

FIT = FitConfig(steps=2, batch=4, learning_rate=3e-3, warmup=0, ema_decay=0.0)
READER = {"reader": {"width": 16, "layers": 1, "heads": 2}}


def config_of(init: Path, **more: object) -> ArchiveTrainConfig:
    config = from_mapping(ArchiveTrainConfig, {**READER, "init": str(init)})
    return replace(config, **{"fit": FIT, **more})


def archive(count: int, each: int) -> list[InstructStudy]:
    """Studies whose latents say whose they are."""
    return [
        InstructStudy(
            f"s{at}",
            f"p{at // each}",
            (f"{at}",),
            {"plain": torch.full((1, 2, 2), float(at // each))},
            (),
        )
        for at in range(count)
    ]


def test_no_context_ever_comes_from_the_targets_patient() -> None:
    studies = archive(24, 3)
    torch.manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(8, 16).repeat_interleave(3, 0), dim=1)
    found = neighbours(vectors.numpy(), [one.patient for one in studies])
    clusters = clusters_of([one.id for one in studies], found.of, studies)
    items = ArchiveItems(clusters, drop=0.2, drop_references=0.1, seed=0)
    for number in range(400):
        item = items(number)
        whose = {float(one.latent.mean()) for one in item.shown}
        assert float(item.item.clean.mean()) not in whose
        assert {one.role for one in item.shown} == {Role.CONTEXT}
        assert all(int(one.caption) // 3 == float(one.latent.mean()) for one in item.shown)


def test_a_run_writes_what_it_found(corner_flows: SimpleNamespace, tmp_path: Path) -> None:
    config = config_of(corner_flows.model, max_reuse=3)
    for _ in train_archive(config, tmp_path / "a", manifest=corner_flows.manifest):
        pass
    report = json.loads((tmp_path / "a" / "retrieval.json").read_text())
    assert (report["studies"], report["patients"], report["most"]) == (4, 4, 3)
    assert report["never"] == 0
    assert "few" in report["warnings"][0]
    card = read_card(tmp_path / "a" / "model")
    assert "instruct-xray" in card.parts
    more = config_of(tmp_path / "a" / "model", fit=replace(FIT, steps=1))
    for _ in train_archive(more, tmp_path / "b", manifest=corner_flows.manifest):
        pass
    again = read_card(tmp_path / "b" / "model")
    assert again.steps == card.steps + 1
    assert len(again.extra["training-instruct-xray"]) == 2


def test_an_archive_of_two_patients_is_refused(
    corner_flows: SimpleNamespace, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in corner_flows.manifest.read_text().splitlines()]
    for at, row in enumerate(rows):
        row["patient"] = f"p{at % 2}"
    few = corner_flows.manifest.parent / "two-patients.jsonl"
    few.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match="4 studies of 2 patients"):
        list(train_archive(config_of(corner_flows.model), tmp_path / "a", manifest=few))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("more", "said"), [({"context": 9}, "context is 9"), ({"drop": 1}, "drop")]
)
def test_settings_that_make_no_sense(more: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ArchiveTrainConfig(**more)


def test_who_is_retrieved_more_often_is_said_aloud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Twenty men give all context of a hundred studies."""
    studies = []
    for at in range(100):
        folder = tmp_path / f"s{at}"
        folder.mkdir()
        sex, name = ("male", "mass") if at < 20 else ("female", "fracture")
        listed = [{"name": name, "presence": "present"}]
        facts = {"sex": sex, "age_years": 40 + at % 40, "findings": listed}
        (folder / "findings.json").write_text(json.dumps(facts))
        studies.append(Study(f"s{at}", f"p{at}", text=folder / "none.txt"))
    taken = [tuple((at + step) % 20 for step in (1, 2, 3)) for at in range(100)]
    counts = torch.tensor(taken).flatten().bincount(minlength=100).numpy()
    report = archive_report(studies, Neighbours(tuple(taken), counts), None)
    assert report.by["sex"]["male"].ratio == 5.0
    assert report.by["sex"]["female"].context == 0.0
    assert report.by["finding"]["mass"].ratio == 5.0
    assert set(report.by["age"]) == {"40 to 59 years", "60 to 79 years"}
    assert report.never == 80
    assert "sex male: is retrieved 5.00 times as often" in caplog.text
    assert "s1" not in " ".join(report.warnings)


@pytest.mark.parametrize(
    "facts",
    [
        {"findings": None},
        {"findings": 5},
        {"findings": [{"presence": "present"}]},
        {"age_years": float("nan")},
        {"age_years": -1, "sex": ["female"]},
    ],
    ids=str,
)
def test_facts_that_say_nothing_are_unknown(tmp_path: Path, facts: dict[str, object]) -> None:
    (tmp_path / "findings.json").write_text(json.dumps(facts))
    studies = [Study(f"s{at}", f"p{at}", text=tmp_path / "none.txt") for at in range(2)]
    report = archive_report(studies, Neighbours(((1,), (0,)), np.ones(2, int)), None)
    assert not any(report.by.values())
