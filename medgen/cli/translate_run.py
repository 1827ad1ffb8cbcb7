"""A batch of translations as the command line runs it: recorded, watched, concluded."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from medgen.cli.progress import watched
from medgen.errors import UsageError
from medgen.record import Record, recording
from medgen.tasks.batch import Done, Failed, Shard, collect, conclude, run_batch, without_existing
from medgen.tasks.translate import TranslateConfig, Written, output_of, translate_item

LOGGER = logging.getLogger(__name__)


def run_translate(
    inputs: Sequence[Path],
    config: TranslateConfig,
    *,
    out: Path | None,
    preview: Path | None,
    jobs: int,
    shard: str | None,
    skip_existing: bool,
    record: Path | None,
) -> Iterator[dict[str, Any]]:
    """Translate every input; yields one line for each, as JSON takes it.

    Raises:
        SomeFailedError: At the end, if some of several inputs failed.
        MedgenError: The error of the only input.
    """
    log = Record("translate", config, seed=config.seed, device=config.device)
    with recording(record, log, overwrite=config.overwrite):
        items = collect(inputs)
        if len(items) > 1:
            _check_several(out, preview, config)
        items = Shard.parse(shard).of(items) if shard else items
        if skip_existing:
            items, skipped = without_existing(items, partial(output_of, config=config, out=out))
            LOGGER.info("%d results exist and are skipped", len(skipped))
        work = partial(translate_item, config=config, out=out, preview=preview)
        results = []
        for result in watched(run_batch(items, work, jobs=jobs), "translate", total=len(items)):
            results.append(result)
            match result:
                case Done(value=written):
                    _note(log, written, result)
                    yield _line(written)
                case Failed(error=error):
                    log.hide(result.item.path)
                    LOGGER.error("%s", error) if len(items) > 1 else None
        conclude(results)


def _check_several(out: Path | None, preview: Path | None, config: TranslateConfig) -> None:
    """Raises UsageError for what makes sense with one input only."""
    if preview is not None:
        raise UsageError("--preview draws one input; leave it out of a batch")
    if config.companions:
        raise UsageError("--with belongs to one input; use a manifest for a batch")
    if out is not None and out.suffix and not out.is_dir() and out.suffix != ".d":
        name = out.name.lower()
        if name.endswith((".nii", ".nii.gz", ".dcm", ".png")):
            raise UsageError(f"-o {out}: names one file for several results; name a folder")


def _note(log: Record, written: Written, result: Done) -> None:
    log.add_input(result.item.path, sha256=written.source_sha256)
    log.warnings += written.warnings
    for warning in written.warnings:
        LOGGER.warning("%s", warning)
    for path in filter(None, (written.output, written.sigma, written.preview)):
        log.add_output(path)


def _line(written: Written) -> dict[str, Any]:
    line = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in asdict(written).items()
    }
    return line | {"seconds": round(written.seconds, 2)}
