"""Whatever happens to its processes, a run resumes to the weights of one that was left in peace."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch

from medgen.tasks.fitting.snapshots import newest
from tests.tasks import fit_toy
from tests.tasks.fit_toy import exact_network, final, run, same

ROOT = Path(__file__).parents[3]
Fork = Callable[..., Any]


@pytest.fixture(scope="module")
def forks() -> Iterator[Fork]:
    """Starts runs at once, where torch is already imported; and ends what is left of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.tasks.fit_toy"])
    with ExitStack() as stack:

        def start(folder: Path, main: Any = fit_toy.main_in_own_session, **options: Any) -> Any:
            arguments = (str(folder), json.dumps(options))[: 2 if options else 1]
            process = context.Process(target=main, args=arguments)
            process.start()
            stack.callback(process.kill)
            return process

        yield start


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def children(pid: int) -> list[int]:
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def has_moved(folder: Path, step: int) -> bool:
    return any(int(path.name[5:]) > step for path in folder.glob("step-*"))


def wait_until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.slow
def test_kill_9_at_any_moment_leaves_a_run_that_resumes_to_the_same_weights(
    tmp_path: Path, forks: Fork
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    dice = random.Random(7)
    reached = []
    for _ in range(8):
        before = newest(killed)
        process = forks(killed, steps=200, save_every_steps=1, slow=True)
        if before is None or dice.random() < 0.8:  # let most of them get somewhere
            wait_until(lambda: has_moved(killed, reached[-1] if reached else -1))
        time.sleep(dice.uniform(0, 0.1))
        process.kill()
        process.join()
        snapshot = newest(killed)
        assert snapshot is not None
        reached.append(snapshot.facts["step"])
    assert reached == sorted(reached)
    assert 0 < reached[-1] < 200
    for folder in (killed, whole):
        last = forks(folder, steps=200)
        last.join(180)
        assert last.exitcode == 0
    for part in ("weights", "averaged", "optimizer"):
        assert same(final(killed, part), final(whole, part))
    lines = (killed / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [*range(3, 201, 3), 200]
    assert not list(killed.glob(".partial-*"))


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_step_and_ends_the_run(
    tmp_path: Path, forks: Fork, signum: int, code: int
) -> None:
    process = forks(tmp_path, steps=100_000, workers=2)
    wait_until(lambda: (tmp_path / "metrics.jsonl").exists())
    helpers = children(process.pid)
    assert len(helpers) >= 2
    began = time.monotonic()
    os.killpg(process.pid, signum)  # as a terminal does: workers get it too
    process.join(180)
    assert time.monotonic() - began < 10  # 2 s on an idle machine
    assert process.exitcode == code
    snapshot = newest(tmp_path)
    assert snapshot is not None
    assert snapshot.facts["step"] >= 3
    assert not any(is_running(helper) for helper in helpers)


@pytest.mark.slow
def test_workers_die_with_a_killed_run(tmp_path: Path, forks: Fork) -> None:
    process = forks(tmp_path, steps=100_000, workers=2)
    wait_until(lambda: (tmp_path / "metrics.jsonl").exists())
    helpers = children(process.pid)
    process.kill()
    process.join()
    wait_until(lambda: not any(is_running(helper) for helper in helpers))


@pytest.mark.slow
def test_workers_end_with_a_program_that_stopped_listening(tmp_path: Path, forks: Fork) -> None:
    process = forks(tmp_path, fit_toy.main_that_stops_listening)
    process.join(60)
    assert process.exitcode == 0


@pytest.mark.slow
def test_two_processes_are_one_but_for_rounding(tmp_path: Path) -> None:
    options = {"steps": 20, "log_every": 5}
    port = str(random.randrange(20_000, 30_000))
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
        *("--master-addr", "127.0.0.1", "--master-port", port),
        *(str(Path(fit_toy.__file__)), str(tmp_path / "two")),
        json.dumps({"exact": True, "twice": True, **options}),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        command, env=environment, timeout=180, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    run(tmp_path / "one", exact_network(), **options)
    one, two = final(tmp_path / "one"), final(tmp_path / "two")
    begin = exact_network().state_dict()
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-5, atol=2e-6)
        assert (one[name] - begin[name]).abs().max() > 1e-2
    lines = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("one", "two")]
    pairs = zip(*(map(json.loads, text.splitlines()) for text in lines), strict=True)
    for ours, theirs in pairs:
        assert ours["step"] == theirs["step"]
        assert ours["loss"]["total"] == pytest.approx(theirs["loss"]["total"], rel=1e-5)
