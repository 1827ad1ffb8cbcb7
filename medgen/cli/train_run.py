"""A training run as the command line shows it: watched, recorded, resumable."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgen.cli.progress import progress_bar
from medgen.record import Record, recording

if TYPE_CHECKING:
    from medgen.tasks.fit import Progress


def run_training(
    verb: str,
    config: Any,
    steps: "Iterator[Progress]",
    out: Path,
    *,
    manifest: Path | None,
    resume: bool,
    record: Path | None,
) -> dict[str, Any]:
    """Train to the end; returns what was made, as JSON takes it.

    Args:
        verb: The command.
        config: Its settings; `config.fit` says how to train.
        steps: The training, which writes `out/model`.
        out: The run's folder.
        manifest: The studies.
        resume: Whether an older record may be replaced.
        record: Where to write what the run did.
    """
    from medgen.tasks.fit import MODEL
    from medgen.tasks.memory import enough_memory

    remedy = f"lower --set fit.batch, now {config.fit.batch} items a step"
    if verb == "train":
        remedy += ", or the widths with --size; --dry-run counts first"
    log = Record(verb, config, seed=config.fit.seed, device=config.fit.device)
    with (
        recording(record, log, overwrite=resume),
        progress_bar(verb, total=config.fit.steps, unit="steps") as advance,
    ):
        if manifest is not None:
            log.add_input(manifest)
        done, loss = 0, {}
        with enough_memory(remedy):
            for progress in steps:
                note = f"loss {progress.loss['total']:.4f}  {progress.eta / 60:.0f} min left"
                advance(progress.step - done, note)
                done, loss = progress.step, progress.loss
        if (out / MODEL).is_dir():  # the first of several processes writes it, maybe later
            log.add_output(out / MODEL)
    return {"model": str(out / MODEL), "steps": done, "loss": loss}
