"""The training loop: a generator that can be killed at any moment and resumed to the same bits."""

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from medgen import __version__
from medgen.diffusion.noise import generator_for
from medgen.errors import MedgenError, OutputError, UsageError
from medgen.tasks.denormals import flushed_denormals
from medgen.tasks.device import emulates_bf16
from medgen.tasks.fitting.config import FREE_TO_CHANGE, FitConfig, learning_rate
from medgen.tasks.fitting.distributed import World, join
from medgen.tasks.fitting.interrupt import Interrupt, waiting_signals
from medgen.tasks.fitting.journal import append_journal, cut_journal
from medgen.tasks.fitting.prefetch import MakeItem, made_in_order
from medgen.tasks.fitting.snapshots import (
    Snapshot,
    at_step,
    discard_after,
    newest,
    prune,
    sweep,
    write_snapshot,
)
from medgen.tasks.fitting.state import TrainingState, new_state
from medgen.tasks.memory import keep_freed_memory

LOGGER = logging.getLogger(__name__)

Loss = Callable[[Any, list[Any]], Mapping[str, Tensor]]
"""Network and items in; named scalars out, each a mean over the items. `total` is minimised.

The names must be the same every time. It moves the items to the network's device itself.
"""

JOURNAL = "metrics.jsonl"
COMPILER = "inductor"  # of torch.compile
MODEL = "model"  # the folder, inside the run's, that `--model` takes


@dataclass(frozen=True)
class Progress:
    """Where a run is after a step.

    Attributes:
        step: Steps done, of `steps`.
        steps: Steps in all.
        loss: This step's loss terms, over all processes; `total` among them.
        rate: Items a second, over all processes, smoothed.
        eta: Seconds still to go, by steps or by `minutes`, whichever ends first.
        elapsed: Seconds spent, earlier runs included.
        snapshot: Folder of the snapshot just written; None for most steps and ranks above 0.
    """

    step: int
    steps: int
    loss: dict[str, float]
    rate: float
    eta: float
    elapsed: float
    snapshot: Path | None = None


def fit(
    network: nn.Module,
    make_item: MakeItem,
    loss: Loss,
    config: FitConfig,
    folder: Path,
    *,
    resume: bool = False,
    card: Mapping[str, Any] | None = None,
) -> Iterator[Progress]:
    """Train a network in place, and yield after every step.

    Item i of step s has the number `s * batch + i`. Under `torchrun` the items of a step are
    dealt out evenly; the result is that of one process but for rounding, if the loss is a mean over
    items, or over what it has `gathered` from all processes, and no layer knows a batch or chance.
    The global random state is seeded anew each step, in each process its own, for dropout and the
    like. Frozen parameters (`requires_grad` False) stay as they are. Left early by its caller, the
    run keeps its last snapshot.

    Args:
        network: What to train; its train or eval mode is left alone.
        make_item: Item number -> item; a pure function, run in `workers` processes.
        loss: Network and items -> loss terms.
        config: How to train.
        folder: Gets `step-*/` (weights, averaged weights, optimizer, counters) and `metrics.jsonl`.
        resume: Continue from the newest snapshot, if there is one.
        card: Anything else, as JSON, that must be the same when the run is resumed.

    Yields:
        Progress, after every step.

    Raises:
        UsageError: The folder holds a run and `resume` is False, or it was configured otherwise.
        MedgenError: A loss or gradient is not finite; the last snapshot is kept.
        OutputError: The folder cannot be written.
        KeyboardInterrupt: SIGINT came; the step was finished and saved. SIGTERM: SystemExit(143).
    """
    keep_freed_memory()  # every step takes the same arrays; whoever read the images gave them back
    world = join(config.device)
    if config.batch % world.size:
        raise UsageError(f"batch {config.batch} cannot be split over {world.size} processes")
    if config.precision == "bf16" and world.rank == 0 and emulates_bf16(world.device):
        LOGGER.warning("bf16 is slow on this CPU, which has no instructions for it; take fp32")
    with flushed_denormals(), waiting_signals() as interrupt:
        state = new_state(network.to(world.device), weight_decay=config.weight_decay)
        if config.compile:
            network.compile(backend=COMPILER)  # in place: its parameters keep their names
        run = _Run(state, config, folder, json.loads(json.dumps(card or {})), world, interrupt)
        run.begin(resume=resume)
        yield from run.steps(make_item, loss)
        if interrupt.signum is not None:
            interrupt.leave()


@dataclass
class _Run:
    """One call of `fit`: the state, and what is around it."""

    state: TrainingState
    config: FitConfig
    folder: Path
    card: dict[str, Any]
    world: World
    interrupt: Interrupt
    spent: float = 0.0  # seconds, by earlier runs
    step_seconds: float | None = None  # smoothed

    def begin(self, *, resume: bool) -> None:
        """Write the first snapshot, or continue from the newest."""
        self.started = self.saved = time.monotonic()
        if self.world.rank == 0:
            self._make_folder()
        found = newest(self.folder) if self.world.rank == 0 else None
        step = self.world.number_from_first(-1 if found is None else found.facts["step"])
        if step >= 0 and not resume:
            raise UsageError(
                f"{self.folder}: already holds a run; resume it or name another folder"
            )
        if step < 0 and self.world.rank == 0 and (self.folder / MODEL).exists():
            raise UsageError(f"{self.folder}: already holds a model; name another folder")
        if step >= 0:
            self._continue(found or at_step(self.folder, step))
        else:
            self.world.from_first(list(self.state.network.state_dict().values()))
            self.state.restart_average()
        if self.world.rank == 0:
            cut_journal(self.folder / JOURNAL, self.state.step)
            discard_after(self.folder, self.state.step)
        if step < 0:
            self.save()

    def steps(self, make_item: MakeItem, loss: Loss) -> Iterator[Progress]:
        """Train to the end, or until time is up or a signal comes; the last step is saved."""
        config, world = self.config, self.world
        shares = (world.share(step, config.batch) for step in range(self.state.step, config.steps))
        numbers = (number for share in shares for number in share)
        size = config.batch // world.size
        ahead = 2 * max(size, config.workers)
        made = made_in_order(make_item, numbers, workers=config.workers, ahead=ahead)
        with closing(made) as items:
            is_last = self.state.step >= config.steps or self._is_time_up(self.spent)
            while not is_last:
                before = time.monotonic()
                terms, stop = self._step(loss, list(islice(items, size)))
                self._tick(time.monotonic() - before)
                stop = stop or (world.size == 1 and self.interrupt.signum is not None)
                is_last = stop or self.state.step >= config.steps
                saved = self.save() if is_last or self._is_time_to_save() else None
                yield self._progress(terms, saved)

    def save(self) -> Path | None:
        """Write a snapshot (rank 0 only) and delete old ones."""
        self.saved = time.monotonic()
        if self.world.rank > 0:
            return None
        facts = {
            **self.state.counters(),
            "elapsed": self.elapsed,
            "config": asdict(self.config),
            "card": self.card,
            "medgen": __version__,
        }
        written = write_snapshot(
            self.folder, step=self.state.step, parts=self.state.parts(), facts=facts
        )
        prune(self.folder, keep=self.config.keep)
        return written.path

    @property
    def elapsed(self) -> float:
        return self.spent + time.monotonic() - self.started

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{self.folder}: cannot be made ({error.strerror}); name another folder"
            ) from error
        sweep(self.folder)

    def _continue(self, snapshot: Snapshot) -> None:
        facts = snapshot.facts
        for field in fields(FitConfig):
            now, then = getattr(self.config, field.name), facts["config"].get(field.name)
            if field.name not in FREE_TO_CHANGE and now != then:
                raise UsageError(
                    f"{self.folder}: {field.name} was {then} and is now {now}; "
                    "resume with the same value or start a new run"
                )
        for name in sorted(facts["card"].keys() | self.card.keys()):
            if facts["card"].get(name) != self.card.get(name):
                raise UsageError(
                    f"{self.folder}: {name} is not what the run was started with; "
                    "resume with the same or start a new run"
                )
        self.state.restore(snapshot)
        self.spent = facts["elapsed"]

    def _step(self, loss: Loss, items: list[Any]) -> tuple[dict[str, float], bool]:
        """One step; its loss terms, and whether every process is to stop after it."""
        state, config, world = self.state, self.config, self.world
        share = world.share(state.step, config.batch)
        torch.manual_seed(generator_for(config.seed, ~share.start).initial_seed())  # no item's own
        with torch.autocast(
            world.device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16"
        ):
            losses = loss(state.network, items)
        state.optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        asked = self.interrupt.signum is not None or self._is_time_up(self.elapsed)
        parameters = state.parameters
        *values, stop = world.mean(
            parameters, [*(float(value.detach()) for value in losses.values()), float(asked)]
        )
        terms = dict(zip(losses, values, strict=True))
        norm = float(clip_grad_norm_(parameters, config.clip_norm or math.inf))
        self._check_finite(terms, norm)
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(state.step, config)
        state.optimizer.step()
        state.average(min(config.ema_decay, (1 + state.step) / (config.ema_warmup + state.step)))
        state.step += 1
        self._log(terms, norm)
        return terms, stop > 0

    def _check_finite(self, terms: dict[str, float], norm: float) -> None:
        wrong = [name for name, value in terms.items() if not math.isfinite(value)]
        if not wrong and math.isfinite(norm):
            return
        what = f"the loss ({wrong[0]})" if wrong else "the gradient"
        first = self.state.step * self.config.batch
        raise MedgenError(
            f"{self.folder}: {what} is not finite at step {self.state.step + 1}, items {first} to "
            f"{first + self.config.batch - 1}; the last snapshot is kept: look at these items, "
            "or start anew with a lower learning rate"
        )

    def _log(self, terms: dict[str, float], norm: float) -> None:
        """Add the step to the means, and write them when a line is due."""
        state, config = self.state, self.config
        for name, value in {**terms, "gradient_norm": norm}.items():
            state.sums[name] = state.sums.get(name, 0.0) + value
        state.summed += 1
        if state.step % config.log_every and state.step < config.steps:
            return
        means = {name: value / state.summed for name, value in state.sums.items()}
        state.sums, state.summed = {}, 0
        if self.world.rank == 0:
            line = {
                "step": state.step,
                "gradient_norm": means.pop("gradient_norm"),
                "loss": means,
                "learning_rate": learning_rate(state.step - 1, config),
                "items_per_second": round(self._rate(), 3),
                "elapsed": round(self.elapsed, 3),
            }
            append_journal(self.folder / JOURNAL, line)

    def _tick(self, seconds: float) -> None:
        old = seconds if self.step_seconds is None else self.step_seconds
        self.step_seconds = 0.9 * old + 0.1 * seconds

    def _rate(self) -> float:
        return self.config.batch / self.step_seconds if self.step_seconds else 0.0

    def _is_time_up(self, seconds: float) -> bool:
        return self.config.minutes is not None and seconds >= 60 * self.config.minutes

    def _is_time_to_save(self) -> bool:
        config = self.config
        by_step = config.save_every_steps and self.state.step % config.save_every_steps == 0
        return bool(by_step) or time.monotonic() - self.saved >= config.save_every_seconds

    def _progress(self, terms: dict[str, float], saved: Path | None) -> Progress:
        config, state = self.config, self.state
        eta = (config.steps - state.step) * (self.step_seconds or 0.0)
        if config.minutes is not None:
            eta = max(0.0, min(eta, 60 * config.minutes - self.elapsed))
        return Progress(state.step, config.steps, terms, self._rate(), eta, self.elapsed, saved)
