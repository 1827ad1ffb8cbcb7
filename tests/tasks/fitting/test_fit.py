"""A run is decided by its configuration: not by interruptions, workers or frozen neighbours."""

import json
import math
import resource
import threading
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from medgen.errors import InputError, MedgenError, OutputError, UsageError
from medgen.tasks.fitting import snapshots
from medgen.tasks.fitting.config import FitConfig, learning_rate
from medgen.tasks.fitting.fit import fit
from tests.tasks.fit_toy import (
    exact_network,
    final,
    loss,
    make_item,
    run,
    same,
    toy_config,
    toy_network,
)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_run_ends_in_the_same_bits(tmp_path: Path, precision: str, workers: int) -> None:
    run(tmp_path / "whole", precision=precision)
    options = {"precision": precision, "workers": workers, "save_every_steps": 4}
    run(tmp_path / "parts", **options, stop_at=6)
    resumed = run(tmp_path / "parts", **options, resume=True)
    assert resumed[0].step == 5
    for part in ("weights", "averaged", "optimizer"):
        assert same(final(tmp_path / "whole", part), final(tmp_path / "parts", part))


@pytest.mark.parametrize("resume", [False, True])
def test_a_model_whose_run_is_gone_is_not_replaced(tmp_path: Path, resume: bool) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(UsageError, match="already holds a model; name another folder"):
        run(tmp_path, resume=resume)


def test_no_time_is_no_training() -> None:
    with pytest.raises(UsageError, match="minutes must be above 0"):
        toy_config(minutes=-1.0)


@pytest.mark.parametrize(("precision", "warns"), [("fp32", False), ("bf16", True)])
def test_a_cpu_that_emulates_bf16_is_told_of(
    precision: str,
    warns: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("medgen.tasks.fitting.fit.emulates_bf16", lambda device: True)
    run(tmp_path, precision=precision, steps=1)
    assert ("no instructions for it; take fp32" in caplog.text) is warns


def test_the_journal_of_a_resumed_run_is_that_of_a_whole_one(tmp_path: Path) -> None:
    run(tmp_path / "whole")
    run(tmp_path / "parts", save_every_steps=4, stop_at=7)
    with (tmp_path / "parts/metrics.jsonl").open("a") as journal:
        journal.write('{"step": 9, "torn')
    run(tmp_path / "parts", resume=True)
    lines = {}
    for name in ("whole", "parts"):
        text = (tmp_path / name / "metrics.jsonl").read_text()
        lines[name] = [json.loads(line) for line in text.splitlines()]
        for line in lines[name]:
            assert line.pop("items_per_second") > 0
            assert line.pop("elapsed") > 0
    assert [line["step"] for line in lines["parts"]] == [3, 6, 9, 12]
    assert lines["parts"] == lines["whole"]


def test_a_line_of_the_journal_is_the_mean_of_its_steps(tmp_path: Path) -> None:
    progress = run(tmp_path)
    line = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[1])
    assert line["step"] == 6
    mean = sum(p.loss["total"] for p in progress[3:6]) / 3
    assert line["loss"]["total"] == pytest.approx(mean, rel=1e-12)
    assert line["learning_rate"] == learning_rate(5, toy_config())


def test_steps_are_adamw_on_the_numbered_items(tmp_path: Path) -> None:
    run(tmp_path, exact_network(), steps=5, weight_decay=0.0, clip_norm=None)
    network = exact_network()
    optimizer = torch.optim.Adam(network.parameters())
    config = toy_config(steps=5)
    average = {name: value.clone() for name, value in network.state_dict().items()}
    for step in range(5):
        optimizer.param_groups[0]["lr"] = learning_rate(step, config)
        optimizer.zero_grad()
        loss(network, [make_item(4 * step + i) for i in range(4)])["total"].backward()
        optimizer.step()
        decay = (1 + step) / (10 + step)
        for name, value in network.state_dict().items():
            average[name] = decay * average[name] + (1 - decay) * value
    for name, value in network.state_dict().items():
        torch.testing.assert_close(final(tmp_path)[name], value, rtol=1e-6, atol=1e-7)
        averaged = final(tmp_path, "averaged")[name]
        torch.testing.assert_close(averaged, average[name], rtol=1e-6, atol=1e-7)


def test_the_gradient_is_clipped_to_its_norm(tmp_path: Path) -> None:
    def steep(network: nn.Module, items: list) -> dict:
        return {"total": 1e6 * loss(network, items)["total"]}

    network, start = nn.Conv1d(1, 1, 1), {}
    start = {name: value.clone() for name, value in network.state_dict().items()}
    config = toy_config(steps=1, warmup=0, clip_norm=1e-12, weight_decay=0.0)
    list(fit(network, make_item, steep, config, tmp_path))
    moved = [(network.state_dict()[name] - start[name]).abs().max() for name in start]
    assert max(moved) < 1e-2 * 1e-3  # Adam's epsilon of 1e-8 swallows a gradient of 1e-12


def test_a_compiled_network_learns_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The one that needs no compiler.
    monkeypatch.setattr("medgen.tasks.fitting.fit.COMPILER", "aot_eager")
    plain, compiled = exact_network(), exact_network()
    run(tmp_path / "plain", plain, steps=4)
    run(tmp_path / "compiled", compiled, steps=4, compile=True)
    torch.testing.assert_close(compiled.state_dict(), plain.state_dict())
    run(tmp_path / "compiled", exact_network(), steps=4, resume=True)  # as it can be without


def test_frozen_parameters_stay_bit_identical(tmp_path: Path) -> None:
    network = toy_network()
    network[0].requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    run(tmp_path, network, weight_decay=0.5)
    for part in ("weights", "averaged"):
        after = final(tmp_path, part)
        assert {n for n in before if torch.equal(before[n], after[n])} == {"0.weight", "0.bias"}


def test_a_parameter_the_loss_does_not_use_is_resumed_too(tmp_path: Path) -> None:
    network = toy_network()
    network.register_parameter("idle", nn.Parameter(torch.ones(3, 3)))
    run(tmp_path, network, save_every_steps=4, stop_at=5)
    run(tmp_path, network, resume=True)
    assert torch.equal(network.get_parameter("idle"), torch.ones(3, 3))


def test_everything_frozen_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="frozen"):
        run(tmp_path, toy_network().requires_grad_(False))


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_items(tmp_path: Path) -> None:
    def poisoned(number: int) -> torch.Tensor:
        return make_item(number) * (math.nan if number == 22 else 1)

    network = toy_network()
    config = toy_config(save_every_steps=4)
    with pytest.raises(MedgenError, match=r"step 6, items 20 to 23") as caught:
        list(fit(network, poisoned, loss, config, tmp_path))
    assert "\n" not in str(caught.value)
    kept = snapshots.newest(tmp_path)
    assert kept is not None
    assert kept.facts["step"] == 4
    assert all(value.isfinite().all() for value in network.state_dict().values())


def test_a_gradient_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    def root(network: nn.Module, items: list) -> dict:
        return {"total": (network(torch.stack(items)) * 0).square().sum().sqrt()}

    with pytest.raises(MedgenError, match="gradient is not finite at step 1, items 0 to 3"):
        list(fit(toy_network(), make_item, root, toy_config(), tmp_path))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_item_that_cannot_be_made_says_why_in_one_line(tmp_path: Path, workers: int) -> None:
    def broken(number: int) -> torch.Tensor:
        if number == 9:
            raise InputError("t1.nii.gz: is gone; put it back")
        return make_item(number)

    with pytest.raises(InputError, match=r"^t1.nii.gz: is gone; put it back$"):
        list(fit(toy_network(), broken, loss, toy_config(workers=workers), tmp_path))


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path: Path) -> None:
    run(tmp_path, steps=2)
    with pytest.raises(UsageError, match="already holds a run"):
        run(tmp_path, steps=2)


@pytest.mark.parametrize(
    ("field", "value"), [("batch", 8), ("learning_rate", 1.0), ("seed", 1), ("precision", "bf16")]
)
def test_resuming_with_another_configuration_names_the_field(
    tmp_path: Path, field: str, value: object
) -> None:
    run(tmp_path, stop_at=1)
    with pytest.raises(UsageError, match=f"{field} was .* and is now {value}"):
        run(tmp_path, resume=True, **{field: value})


def test_resuming_with_another_card_or_other_frozen_parts_is_refused(tmp_path: Path) -> None:
    run(tmp_path, stop_at=1, card={"data": "a", "sizes": (1, 2)})
    with pytest.raises(UsageError, match="data is not what"):
        run(tmp_path, resume=True, card={"data": "b", "sizes": (1, 2)})
    network = toy_network()
    network[0].requires_grad_(False)
    with pytest.raises(UsageError, match=r"other frozen parts \(0.bias\)"):
        run(tmp_path, network, resume=True, card={"data": "a", "sizes": (1, 2)})


def test_workers_cadence_and_time_may_change_on_resume(tmp_path: Path) -> None:
    run(tmp_path, save_every_steps=2, stop_at=3)
    assert run(tmp_path, resume=True, keep=1, minutes=9.0, log_every=5)[-1].step == 12


def test_another_network_is_refused(tmp_path: Path) -> None:
    run(tmp_path, stop_at=1)
    with pytest.raises(MedgenError, match="made for another network"):
        run(tmp_path, nn.Conv1d(1, 1, 3, padding=1), resume=True)


def test_a_finished_run_resumes_to_nothing(tmp_path: Path) -> None:
    run(tmp_path)
    assert run(tmp_path, resume=True) == []


def test_the_time_budget_stops_cleanly_and_counts_earlier_runs(tmp_path: Path) -> None:
    options = {"steps": 1_000_000, "minutes": 0.3 / 60}
    first = run(tmp_path, **options)
    assert first[-1].snapshot is not None
    assert first[-1].step < 1_000_000
    assert first[-1].elapsed >= 0.3
    assert first[-1].eta == 0
    assert run(tmp_path, **options, resume=True) == []
    spent = snapshots.at_step(tmp_path, first[-1].step).facts["elapsed"]
    again = run(tmp_path, **{**options, "minutes": spent / 60 + 1e-6}, resume=True)
    assert again[0].elapsed > spent >= 0.3


def test_only_the_last_snapshots_are_kept(tmp_path: Path) -> None:
    run(tmp_path, save_every_steps=2, keep=3)
    names = sorted(path.name for path in tmp_path.glob("step-*"))
    assert names == ["step-000000008", "step-000000010", "step-000000012"]


def test_a_damaged_snapshot_is_passed_over(tmp_path: Path) -> None:
    run(tmp_path, save_every_steps=4, keep=3)
    (tmp_path / "step-000000012/sums.json").unlink()
    weights = tmp_path / "step-000000008/weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert run(tmp_path, resume=True, keep=1, save_every_steps=1, stop_at=5)[0].step == 5
    # Damaged ones are not counted among those that are kept.
    assert [path.name for path in tmp_path.glob("step-*")] == ["step-000000005"]


def test_a_run_with_nothing_but_damage_says_so(tmp_path: Path) -> None:
    run(tmp_path, steps=1, keep=1)
    (tmp_path / "step-000000001/state.json").write_text("{")
    with pytest.raises(MedgenError, match="every snapshot in it is damaged"):
        run(tmp_path, steps=1, resume=True)


def test_a_full_disk_keeps_the_snapshot_before(tmp_path: Path) -> None:
    run(tmp_path, save_every_steps=4, stop_at=4)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        with pytest.raises(OutputError, match="step-000000012: cannot be written"):
            run(tmp_path, resume=True, log_every=100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["metrics.jsonl", "step-000000000", "step-000000004"]
    run(tmp_path, resume=True)
    run(tmp_path / "whole")
    assert same(final(tmp_path), final(tmp_path / "whole"))


def test_a_folder_that_cannot_be_written_is_refused_before_the_first_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be made"):
        run(tmp_path / "file")


def test_it_runs_in_a_thread_where_signals_cannot_be_caught(tmp_path: Path) -> None:
    thread = threading.Thread(target=run, args=(tmp_path,), kwargs={"steps": 2})
    thread.start()
    thread.join()
    assert final(tmp_path)


def test_workers_work_ahead(tmp_path: Path) -> None:
    def marked(number: int) -> torch.Tensor:
        (tmp_path / f"made-{number}").touch()
        return make_item(number)

    config = toy_config(steps=10, batch=2, workers=2)
    steps = fit(toy_network(), marked, loss, config, tmp_path / "run")
    next(steps)
    deadline = time.monotonic() + 60
    while not (tmp_path / "made-3").exists():  # of a step that nobody has asked for yet
        assert time.monotonic() < deadline
        time.sleep(0.01)
    steps.close()


def test_the_learning_rate_rises_then_falls_to_its_share() -> None:
    config = FitConfig(steps=100, batch=1, warmup=20, learning_rate=2.0, min_lr_share=0.1)
    rates = [learning_rate(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[19] == rates[20] == max(rates) == 2.0
    assert rates[60] == pytest.approx(1.1)
    assert rates[100] == pytest.approx(0.2)
    assert rates[20:] == sorted(rates[20:], reverse=True)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"batch": -1}, {"learning_rate": math.nan}, {"ema_decay": 1.0}]
)
def test_a_configuration_that_makes_no_sense_is_refused(wrong: dict) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        toy_config(**wrong)


@pytest.mark.parametrize("device", ["warp", "cuda:63"])
def test_an_absent_device_is_refused(tmp_path: Path, device: str) -> None:
    with pytest.raises(UsageError, match="device"):
        run(tmp_path, device=device)
