"""A round: what flows tell each other is learned, and all else stays as it is, to the bit."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from medgen.checkpoint import read_card
from medgen.config import from_mapping
from medgen.errors import ModelError, UsageError
from medgen.modality import Modality
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.fit import MODEL, Progress
from medgen.tasks.flows.cross_model import load_guide
from medgen.tasks.flows.model import load_flow
from medgen.tasks.flows.train import FlowTrainConfig, train_flow
from medgen.tasks.joining.train import CrossTrainConfig, train_cross
from medgen.tasks.rehearsal import rehearse
from medgen.tasks.rounds import round_named
from tests.tasks.flow_toy import FIT, OF_REPORTS
from tests.unchecked import unchecked

PARTS = {"environment-text", "environment-xray", "listener-text", "listener-xray"}


@pytest.fixture(scope="module")
def both(
    corner_flows: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """A model with a flow of radiographs and one of reports, and their `manifest`."""
    out = tmp_path_factory.mktemp("both")
    shape = {**OF_REPORTS, "res_blocks": 2}
    config = replace(
        from_mapping(FlowTrainConfig, {"flow": shape}),
        init=str(corner_flows.model),
        fit=replace(FIT, steps=60),
    )
    with unchecked():
        list(train_flow(config, out, manifest=corner_flows.manifest))
    return SimpleNamespace(model=out / MODEL, manifest=corner_flows.manifest)


@pytest.fixture
def config(both: SimpleNamespace) -> CrossTrainConfig:
    shape = {"cross": {"width": 16, "embedding": 16, "heads": 2}}
    fit = FitConfig(steps=60, batch=8, learning_rate=5e-3, warmup=5, ema_decay=0.9)
    return replace(from_mapping(CrossTrainConfig, shape), init=str(both.model), fit=fit)


Run = Callable[..., list[Progress]]


@pytest.fixture
def run(both: SimpleNamespace, config: CrossTrainConfig, tmp_path: Path) -> Run:
    def start(name: str, **changes: object) -> list[Progress]:
        chosen = replace(config, **changes)  # type: ignore[arg-type]
        return list(train_cross(chosen, tmp_path / name, manifest=both.manifest))

    return start


@pytest.mark.slow
def test_only_what_is_told_and_heard_changes(
    run: Run, both: SimpleNamespace, tmp_path: Path
) -> None:
    """PAPERS, golden check 4: every frozen tensor is the same, by its hash."""
    first, *_, last = run("run")
    assert set(first.loss) == {"total", "text", "xray", "agreement-text-xray", "invariant-xray"}
    before, after = (read_card(folder).parts for folder in (both.model, tmp_path / "run" / MODEL))
    assert after.keys() - before.keys() == PARTS
    assert {name: after[name] for name in before} == before
    assert last.loss["total"] < first.loss["total"]


def test_a_round_without_a_step_leaves_the_flows_deaf(
    run: Run, both: SimpleNamespace, config: CrossTrainConfig, tmp_path: Path
) -> None:
    run("run", fit=replace(config.fit, steps=1, learning_rate=1e-12, ema_decay=0.0))
    flows = {
        name: load_flow(both.model, Modality(name), torch.device("cpu")).flow
        for name in ("text", "xray")
    }
    guide = load_guide(tmp_path / "run" / MODEL, flows)
    shapes = {name: (1, flow.config.channels, *flow.config.grid) for name, flow in flows.items()}
    noisy = {name: torch.ones(shape) for name, shape in shapes.items()}
    time, context = torch.tensor([0.5]), torch.ones(1, 4, 16)
    told = guide.tell(noisy, time)
    for name, flow in flows.items():
        with guide.hearing(name, flow.network, told):
            heard = flow.predict(noisy[name], time, context)
        torch.testing.assert_close(
            heard, flow.predict(noisy[name], time, context), atol=1e-6, rtol=0
        )


@pytest.mark.slow
def test_a_resumed_round_ends_in_the_same_bits(
    run: Run, both: SimpleNamespace, config: CrossTrainConfig, tmp_path: Path
) -> None:
    short = replace(config, fit=replace(config.fit, steps=4))
    run("whole", fit=short.fit)
    first = train_cross(short, tmp_path / "parts", manifest=both.manifest)
    assert next(first).step == 1
    first.close()  # type: ignore[attr-defined]
    list(train_cross(short, tmp_path / "parts", manifest=both.manifest, resume=True))
    one, two = (read_card(tmp_path / name / MODEL).parts for name in ("whole", "parts"))
    assert one == two


def test_who_listens_already_is_not_taught_again(
    run: Run, config: CrossTrainConfig, tmp_path: Path
) -> None:
    run("run", fit=replace(config.fit, steps=2))
    with pytest.raises(UsageError, match="text and xray listen to each other already"):
        run("again", init=str(tmp_path / "run" / MODEL))


def test_a_model_without_a_flow_says_which_it_has(run: Run, corner_flows: SimpleNamespace) -> None:
    with pytest.raises(ModelError, match="cannot make text; it makes xray"):
        run("run", init=str(corner_flows.model))


def test_a_manifest_without_pairs_is_refused(
    both: SimpleNamespace, config: CrossTrainConfig, tmp_path: Path
) -> None:
    lines = both.manifest.read_text().splitlines()
    bare = both.manifest.parent / "no-text.jsonl"
    rows = [json.loads(line) for line in lines]
    for row in rows:
        del row["text"]
    bare.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UsageError, match="has text"):
        list(train_cross(config, tmp_path / "run", manifest=bare))


def test_it_is_a_round_and_can_be_rehearsed(both: SimpleNamespace) -> None:
    chosen = round_named("text-xray").settle(preset="tiny", flags={"init": str(both.model)})
    plan = rehearse("text-xray", chosen, both.manifest)
    assert plan.parameters > 10_000
    assert plan.studies == 4
