"""What is trained is a model that translates, and that knows where it came from."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from medgen.checkpoint import Card, read_card
from medgen.errors import UsageError
from medgen.io import files
from medgen.phantom.anatomy import Anatomy
from medgen.tasks import train as module
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.fit import MODEL, Progress
from medgen.tasks.train import TrainConfig, freeze, train, write_model
from medgen.tasks.translate import TranslateConfig, translate
from medgen.tasks.translator.examples import ExampleConfig
from medgen.tasks.translator.model import load_translator
from medgen.tasks.translator.translator import Translator, TranslatorConfig

FIT = FitConfig(steps=3, batch=1, warmup=0, learning_rate=1e-2, device="cpu", log_every=1)
TINY = TrainConfig(
    translator=TranslatorConfig(widths=(8, 8)), examples=ExampleConfig(patch=16), fit=FIT
)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory, volumes: SimpleNamespace) -> Path:
    """Two label maps of FreeSurfer's numbers."""
    folder = tmp_path_factory.mktemp("labels")
    hu = volumes.head("ct")
    table = np.select([hu > 500, hu > 28, hu > -500], [515, 3, 511], 0).astype(np.int16)
    for name in ("one", "two"):
        volumes.save(table, folder / f"{name}.nii.gz")
    return folder


@pytest.fixture
def manifest(tmp_path: Path, volumes: SimpleNamespace) -> Path:
    rows = [{"id": "s", "patient": "p", "ct": "ct.nii.gz", "mri:t1": "t1.nii.gz"}]
    volumes.save(volumes.head("ct"), tmp_path / "ct.nii.gz")
    volumes.save(volumes.head("mri"), tmp_path / "t1.nii.gz")
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def trained(labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three steps."""
    out = tmp_path_factory.mktemp("runs") / "first"
    run(replace(TINY, labels=str(labels)), out)
    return out


def run(config: TrainConfig, out: Path, **others: object) -> list[Progress]:
    return list(train(config, out, **others))  # type: ignore[arg-type]


def weights(out: Path) -> dict[str, Tensor]:
    return load_translator(out / MODEL, torch.device("cpu")).translator.state_dict()


def test_a_run_ends_with_a_model_that_translates(
    trained: Path, tmp_path: Path, volumes: SimpleNamespace
) -> None:
    mri = files.read(volumes.save(volumes.head("mri"), tmp_path / "t1.nii.gz"))
    made = translate([mri], TranslateConfig(model=str(trained / MODEL), device="cpu"))
    assert made.image.voxels.shape == mri.voxels.shape
    card = read_card(trained / MODEL)
    assert (card.steps, card.lineage) == (3, ())
    assert card.training_range == module.SEEN
    assert len((trained / "metrics.jsonl").read_text().splitlines()) == 3


def test_the_card_tells_the_settings_but_no_folder(trained: Path, labels: Path) -> None:
    card = (trained / MODEL / "model.json").read_text()
    assert str(labels.parent) not in card
    assert json.loads(card)["extra"]["training"]["labels"] == labels.name


def test_pairs_and_label_maps_are_learned_from(
    labels: Path, manifest: Path, tmp_path: Path
) -> None:
    config = replace(TINY, labels=str(labels))
    steps = run(config, tmp_path / "run", manifest=manifest)
    assert [progress.step for progress in steps] == [1, 2, 3]
    assert all(np.isfinite(list(progress.loss.values())).all() for progress in steps)


def test_pairs_alone_need_no_label_maps(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "procedural_head", lambda *_: pytest.fail("not needed"))
    only_real = replace(TINY, examples=ExampleConfig(patch=16, real=1.0))
    assert len(run(only_real, tmp_path / "run", manifest=manifest)) == 3


def test_without_any_data_heads_of_formulas_are_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def head(generator: torch.Generator) -> Anatomy:
        drawn.append(generator.initial_seed())
        return Anatomy("p", torch.ones(20, 20, 20, dtype=torch.uint8), (1.0, 1.0, 1.0))

    monkeypatch.setattr(module, "procedural_head", head)
    assert len(run(TINY, tmp_path / "run")) == 3
    assert len(set(drawn)) == module.PROCEDURAL_HEADS


@pytest.mark.slow
def test_a_real_procedural_head_can_be_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROCEDURAL_HEADS", 1)
    assert len(run(replace(TINY, fit=replace(FIT, steps=1)), tmp_path / "run")) == 1


def test_init_continues_a_lineage_with_the_shape_it_has(
    trained: Path, labels: Path, tmp_path: Path
) -> None:
    ancestor = read_card(trained / MODEL)
    child = replace(
        TINY, labels=str(labels), init=str(trained / MODEL), translator=TranslatorConfig()
    )
    run(child, tmp_path / "child")
    card = read_card(tmp_path / "child" / MODEL)
    assert card.lineage == (ancestor.digest,)
    assert card.steps == 6
    assert card.parts["translator"].config["widths"] == [8, 8]
    run(replace(child, init=str(tmp_path / "child" / MODEL)), tmp_path / "grandchild")
    assert read_card(tmp_path / "grandchild" / MODEL).lineage == (ancestor.digest, card.digest)


def test_init_of_another_shape_is_refused(trained: Path, labels: Path, tmp_path: Path) -> None:
    other = TranslatorConfig(widths=(4, 8))
    config = replace(TINY, labels=str(labels), init=str(trained / MODEL), translator=other)
    with pytest.raises(UsageError, match="has another shape"):
        run(config, tmp_path / "run")


def test_detail_is_added_on_the_way(trained: Path, labels: Path, tmp_path: Path) -> None:
    """It goes on where it was, with layers that learn, and what comes of it keeps them."""
    same = replace(TINY, labels=str(labels), init=str(trained / MODEL))
    detailed = replace(same, translator=TranslatorConfig(detail=4))
    before, after = run(same, tmp_path / "same"), run(detailed, tmp_path / "detailed")
    assert after[0].loss["total"] == pytest.approx(before[0].loss["total"], rel=1e-5)
    model = tmp_path / "detailed" / MODEL
    assert read_card(model).parts["translator"].config["widths"] == [8, 8]
    translator = load_translator(model, torch.device("cpu")).translator
    assert translator.network.detail[-1].weight.any()
    run(replace(same, init=str(model), translator=TranslatorConfig()), tmp_path / "again")
    again = read_card(tmp_path / "again" / MODEL)
    assert again.parts["translator"].config["detail"] == 4
    other = replace(same, init=str(model), translator=TranslatorConfig(detail=8))
    with pytest.raises(UsageError, match="has another shape"):
        run(other, tmp_path / "other")


def test_levels_are_widened_on_the_way(trained: Path, labels: Path, tmp_path: Path) -> None:
    """It goes on where it was, and what comes of it keeps its channels, all of which learn."""
    same = replace(TINY, labels=str(labels), init=str(trained / MODEL))
    wider = replace(same, translator=TranslatorConfig(widths=(12, 16), knee=0.02))
    before, after = run(same, tmp_path / "same"), run(wider, tmp_path / "wider")
    assert after[0].loss["total"] == pytest.approx(before[0].loss["total"], rel=1e-5)
    model = tmp_path / "wider" / MODEL
    network = load_translator(model, torch.device("cpu")).translator.network
    assert network.exit.weight.shape[1] == 12
    assert network.exit.weight[:, 8:].any()
    assert network.entry.conv_0.conv.weight[:8, -24:].any()
    run(replace(same, init=str(model), translator=TranslatorConfig()), tmp_path / "again")
    again = read_card(tmp_path / "again" / MODEL).parts["translator"].config
    assert (again["widths"], again["knee"]) == ([12, 16], 0.02)
    other = replace(same, init=str(model), translator=TranslatorConfig(knee=0.1))
    with pytest.raises(UsageError, match="has another shape"):
        run(other, tmp_path / "other")


@pytest.mark.slow
def test_norms_are_fixed_on_the_way(trained: Path, labels: Path, tmp_path: Path) -> None:
    """It goes on near where it was, and what comes of it goes on without being told."""
    still = replace(
        TINY,
        labels=str(labels),
        init=str(trained / MODEL),
        translator=replace(TINY.translator, norm="affine"),
    )
    before = run(replace(TINY, labels=str(labels), init=str(trained / MODEL)), tmp_path / "same")
    after = run(still, tmp_path / "still")
    assert after[0].loss["total"] == pytest.approx(before[0].loss["total"], rel=0.5)
    again = replace(still, init=str(tmp_path / "still" / MODEL), translator=TranslatorConfig())
    run(again, tmp_path / "again")
    assert read_card(tmp_path / "again" / MODEL).parts["translator"].config["norm"] == "affine"


@pytest.mark.slow
def test_a_run_that_goes_on_measures_no_norms_again(
    trained: Path, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(
        TINY,
        labels=str(labels),
        init=str(trained / MODEL),
        translator=replace(TINY.translator, norm="affine"),
    )
    run(config, tmp_path / "whole")
    steps = train(config, tmp_path / "parts")
    next(steps)
    steps.close()
    monkeypatch.setattr(module, "with_fixed_norms", None)
    run(config, tmp_path / "parts", resume=True)
    for name, tensor in weights(tmp_path / "whole").items():
        assert torch.equal(tensor, weights(tmp_path / "parts")[name]), name


def test_what_is_frozen_keeps_its_bits(trained: Path, labels: Path, tmp_path: Path) -> None:
    parts = ("network.down", "network.entry")
    config = replace(TINY, labels=str(labels), init=str(trained / MODEL), freeze=parts)
    run(config, tmp_path / "run")
    before, after = weights(trained), weights(tmp_path / "run")
    for name, tensor in after.items():
        is_frozen = name.startswith(tuple(f"{part}." for part in parts))
        if is_frozen:
            assert torch.equal(tensor, before[name]), name
    assert not torch.equal(after["network.exit.weight"], before["network.exit.weight"])


def test_freezing_needs_a_part_and_something_to_train() -> None:
    network = Translator(TranslatorConfig(widths=(8, 8)))
    with pytest.raises(UsageError, match=r"--freeze network.dwon: no such part.*network.down"):
        freeze(network, ["network.dwon"])
    with pytest.raises(UsageError, match="no such part"):
        freeze(network, ["network.dow"])
    with pytest.raises(UsageError, match="leaves nothing to train"):
        freeze(network, ["network"])


def test_a_stopped_run_resumes_to_the_same_bits(
    trained: Path, labels: Path, tmp_path: Path
) -> None:
    config = replace(
        TINY, labels=str(labels), fit=replace(FIT, save_every_steps=1, save_every_seconds=1e9)
    )
    stopped = train(config, tmp_path / "run")
    next(stopped)
    next(stopped)
    stopped.close()  # type: ignore[attr-defined]
    assert not (tmp_path / "run" / MODEL).exists()
    steps = run(config, tmp_path / "run", resume=True)
    assert steps[-1].step == 3
    again, whole = weights(tmp_path / "run"), weights(trained)
    assert all(torch.equal(again[name], whole[name]) for name in whole)
    assert run(config, tmp_path / "run", resume=True) == []  # nothing left to do
    assert read_card(tmp_path / "run" / MODEL).steps == 3


def test_resuming_with_other_settings_is_refused(
    trained: Path, labels: Path, tmp_path: Path
) -> None:
    other = replace(TINY, labels=str(labels), examples=ExampleConfig(patch=24))
    with pytest.raises(UsageError, match="config is not what the run was started with"):
        run(other, trained, resume=True)


def test_the_card_of_a_person_is_kept(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text(
        'name = "mine"\nversion = "2"\nlicence = "CC0-1.0"\n'
        '[[data]]\nname = "heads"\nlicence = "CC0-1.0"\n'
        "[training_range]\nspacing_mm = [1, 2]\nfov_mm = [50, 60]\n"
    )
    card = write_model(trained, replace(TINY, card=str(tmp_path / "card.toml")))
    assert (card.name, card.version, card.task, card.licence) == (
        "mine",
        "2",
        "translate",
        "CC0-1.0",
    )
    assert card.data[0].name == "heads"
    assert card.training_range is not None
    assert card.training_range.fov_mm == (50, 60)
    assert isinstance(card, Card)


@pytest.mark.parametrize(
    ("text", "message"),
    [("nmae = 1", "'nmae' is not a setting of Card"), ("data = 3", "data"), ("=", "is not valid")],
)
def test_a_wrong_card_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "card.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        run(replace(TINY, card=str(path)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nothing_to_learn_from_is_said(labels: Path, tmp_path: Path, manifest: Path) -> None:
    all_held = replace(TINY, labels=str(labels), hold_out=("one", "two"))
    with pytest.raises(UsageError, match="nothing to learn from: --hold-out"):
        run(all_held, tmp_path / "run")
    row = json.loads(manifest.read_text()) | {"split": "test"}
    manifest.write_text(json.dumps(row))
    with pytest.raises(UsageError, match="nothing to learn from; no study to train on"):
        run(TINY, tmp_path / "run", manifest=manifest)
    with pytest.raises(UsageError, match="--hold-out three: no such label map"):
        run(replace(all_held, hold_out=("three",)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"register": "affine"}, "--register affine: write none or rigid"),
        ({"squares": -0.5}, "squares -0.5: choose 0 or more"),
        ({"hold_out": ("a",)}, "--hold-out names label maps; give --labels"),
    ],
)
def test_settings_nobody_knows_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainConfig(**settings)  # type: ignore[arg-type]
