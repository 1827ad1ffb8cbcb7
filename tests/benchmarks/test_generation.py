"""What is said of generated radiographs: the stated findings, the margins, the tables and goals."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import generation_speed
from benchmarks.generation import OURS, UNTOLD, flows_at, generations
from benchmarks.generation_tables import generation_goals, generation_tables
from benchmarks.radiograph_sets import Prompted, as_image, made_pictures, stated
from benchmarks.rows import Row, Store
from medgen.tasks.generating.config import GenerateConfig


def test_what_a_report_states() -> None:
    findings = [
        {"name": "pneumothorax", "presence": "absent"},
        {"name": "pleural_effusion", "presence": "present", "side": "both", "severity": "large"},
        {"name": "mass", "presence": "present", "side": "left", "size_mm": 35.0},
        {"name": "device", "presence": "present", "side": "right"},
    ]
    assert stated(Prompted("", {"findings": findings})) == [
        (("pleural_effusion", "left"), "large"),
        (("pleural_effusion", "right"), "large"),
        (("mass", "left"), "20 mm and more"),
        (("device", "right"), "not measured"),
    ]


def test_margins_are_cut_off_and_nothing_else() -> None:
    picture = np.full((64, 64), -1.0, np.float32)
    picture[:, 10:50] = np.linspace(-0.5, 1, 40)
    picture[20:30, 20:30] = -1  # dark lung is not a margin
    image = as_image(picture)
    assert image.voxels.shape == (64, 40)
    assert image.voxels[25, 15] == 0
    assert image.voxels[0, -1] == 4095
    grainy = picture + 0.1 * np.random.default_rng(0).standard_normal(picture.shape)
    assert as_image(grainy.clip(-1, 1)).voxels.shape == (64, 40)  # as codecs and flows make them


def test_generated_pictures_are_made_once(corner_flows: SimpleNamespace, tmp_path: Path) -> None:
    config = GenerateConfig(
        model=str(corner_flows.model), device="cpu", steps=2, number=2, unconditional=True
    )
    texts = ["Mass in the left upper lobe.", ""]
    made = made_pictures(texts, config, tmp_path)
    assert made.shape == (4, 32, 32)
    assert abs(made).max() <= 1
    (kept,) = tmp_path.iterdir()
    stamp = kept.stat().st_mtime_ns
    np.testing.assert_array_equal(made_pictures(texts, config, tmp_path), made)
    assert kept.stat().st_mtime_ns == stamp
    assert len(made_pictures(texts[:1], config, tmp_path)) == 2


def test_without_a_model_or_studies_nothing_is_measured(
    corner_flows: SimpleNamespace, tmp_path: Path
) -> None:
    assert flows_at(str(tmp_path)) is None
    assert not list(generations(tmp_path, str(tmp_path), tmp_path, Store(tmp_path)))
    only = Store(tmp_path, measures=False)
    assert not list(generations(tmp_path, str(corner_flows.model), tmp_path, only))


def row(subject: str, method: str, **scores: float) -> Row:
    return Row("generation", subject, "text", "xray", method, scores, 0.0, "", "")


def shares(**shares: float) -> Mapping[str, float]:
    words = ((f"{k} low", v - 0.1) for k, v in shares.items())
    more = ((f"{k} high", v + 0.1) for k, v in shares.items())
    return {**shares, **dict(words), **dict(more), **{f"{k} n": 50.0 for k in shares}}


def test_tables_and_goals_say_what_the_rows_say() -> None:
    rows = [
        row("facts", OURS, **shares(all=0.85, large=0.95, absent=0.12)),
        row("facts", UNTOLD, **shares(all=0.2, large=0.2, absent=0.15)),
        row("copies", OURS, share=0.1, low=0.06, high=0.15, expected=0.05, n=200, copying=1.0),
        row("volumes", OURS, **{"ct mae": 13.0}),
    ]
    facts, *_, copies = generation_tables(rows)
    assert facts.lines[0][:3] == ["all stated", 50.0, "0.85 [0.75, 0.95]"]
    assert facts.lines[1][0] == "large"
    assert facts.lines[-1][0] == "seen although not stated"
    assert copies.lines == [["medgen", 0.1, 0.06, 0.15, 0.05, 200]]
    verdicts = {goal.what: goal.is_reached for goal in generation_goals(rows)}
    assert verdicts["generated radiographs: stated findings seen"] is True
    assert verdicts["the same without the text"] is True
    assert verdicts["default: evaluations of the network"] is True
    assert verdicts["unseen reports: tokens right"] is None
    assert verdicts["codec of CT: MAE of held-out heads"] is False
    assert verdicts["kernel distance (random) over that of MONAI's pieces"] is None
    assert verdicts["copies: lower end of the share less that of held-out ones"] is False


@pytest.mark.parametrize("rows", [[], [row("facts", OURS, **shares(all=0.5))]])
def test_what_was_not_measured_is_open(rows: list[Row]) -> None:
    assert len(generation_tables(rows)) == 8
    goals = {goal.what: goal.is_reached for goal in generation_goals(rows)}
    assert goals["the same without the text"] is None


def test_all_samplers_arrive_at_the_same_latents(
    corner_flows: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation_speed, "TURNS", 1)
    found = generation_speed._samplers(str(corner_flows.model), 1)
    assert found["monai apart"] < 1e-4
    assert found["diffusers apart"] < 1e-4
    assert found["ours"] > 0
