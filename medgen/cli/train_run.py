"""A training run as the command line shows it: watched, recorded, resumable."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgen.cli.privacy import hide_manifest
from medgen.cli.progress import progress_bar
from medgen.record import Record, recording

if TYPE_CHECKING:
    from medgen.tasks.fitting.fit import Progress


def run_training(
    verb: str,
    config: Any,
    steps: "Iterator[Progress]",
    out: Path,
    *,
    manifest: Path | None,
    resume: bool,
    record: Path | None,
    labels: Path | None = None,
) -> dict[str, Any]:
    """Train to the end; returns what was made, as JSON takes it.

    Of the processes of a `torchrun` the first records and returns it, the others nothing.

    Args:
        verb: The command.
        config: Its settings; `config.fit` says how to train.
        steps: The training, which writes `out/model`.
        out: The run's folder.
        manifest: The studies.
        resume: Whether an older record may be replaced.
        record: Where to write what the run did.
        labels: Label maps, a file or a folder, that simulated studies are made from.

    Raises:
        InputError: If the manifest or the label maps cannot be read.
        UsageError: If the record would replace what the run reads or makes, or the device is not
            there.
    """
    from medgen.tasks.device import choose_device
    from medgen.tasks.fitting.distributed import rank_here
    from medgen.tasks.fitting.fit import MODEL
    from medgen.tasks.memory import enough_memory

    remedy = f"lower --set fit.batch, now {config.fit.batch} items a step"
    if verb == "train":
        remedy += ", or the widths with --size; --dry-run counts first"
    log = Record(verb, config, seed=config.fit.seed, device=config.fit.device)
    is_first = rank_here() == 0
    place = record if is_first else None
    with (
        recording(place, log, overwrite=resume),
        progress_bar(verb, total=config.fit.steps, unit="steps") as advance,
    ):
        if manifest is not None:
            log.add_input(manifest)
        if place is not None:
            log.keep_apart([out / MODEL])
            log.spare([Path(config.card)] if config.card else [])
            if manifest is not None:
                hide_manifest(log, manifest)
            if labels is not None:
                log.add_input(labels)
        if config.fit.device != "auto":
            choose_device(config.fit.device)  # that it is not there must not wait for the studies
        done, loss = 0, {}
        with enough_memory(remedy):
            for progress in steps:
                note = f"loss {progress.loss['total']:.4f}  {progress.eta / 60:.0f} min left"
                advance(progress.step - done, note)
                done, loss = progress.step, progress.loss
        if is_first:
            log.add_output(out / MODEL)
    return {"model": str(out / MODEL), "steps": done, "loss": loss} if is_first else {}
