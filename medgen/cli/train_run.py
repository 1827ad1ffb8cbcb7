"""A training run as the command line shows it: watched, recorded, resumable."""

from pathlib import Path
from typing import Any

from medgen.cli.progress import progress_bar
from medgen.record import Record, recording
from medgen.tasks.train import MODEL, TrainConfig, train


def run_train(
    config: TrainConfig, out: Path, *, manifest: Path | None, resume: bool, record: Path | None
) -> dict[str, Any]:
    """Train to the end; returns what was made, as JSON takes it."""
    log = Record("train", config, seed=config.fit.seed, device=config.fit.device)
    with (
        recording(record, log, overwrite=resume),
        progress_bar("train", total=config.fit.steps, unit="steps") as advance,
    ):
        if manifest is not None:
            log.add_input(manifest)
        done, loss = 0, {}
        for progress in train(config, out, manifest=manifest, resume=resume):
            note = f"loss {progress.loss['total']:.4f}  {progress.eta / 60:.0f} min left"
            advance(progress.step - done, note)
            done, loss = progress.step, progress.loss
        if (out / MODEL).is_dir():  # the first of several processes writes it, maybe later
            log.add_output(out / MODEL)
    return {"model": str(out / MODEL), "steps": done, "loss": loss}
