"""A batch of translations as the command line runs it: recorded, watched, concluded."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from medgen.cli.privacy import hide_listed, hide_study
from medgen.cli.progress import watched
from medgen.errors import UsageError
from medgen.io.names import check_apart, is_file_name
from medgen.io.sidecar import sidecar_path
from medgen.record import Record, recording
from medgen.tasks.batch import Done, Failed, Shard, collect, conclude, run_batch, without_existing
from medgen.tasks.translate import TranslateConfig
from medgen.tasks.translate_files import Written, output_of, results_of, translate_item

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
    seed = config.seed if config.is_random else None
    log = Record("translate", config, seed=seed, device=config.device)
    with recording(record, log, overwrite=config.overwrite):
        _hide_options(log, inputs, config)
        if record is not None:
            for path in inputs:
                hide_listed(log, path)
        items = collect(inputs)
        log.spare(path for item in items for path in item.files)
        if len(items) > 1:
            _check_several(out, preview, config)
        results = {item.name: output_of(item, config, out=out) for item in items}
        log.keep_apart([*results.values(), *map(sidecar_path, results.values()), preview])
        check_apart(results.values(), [path for item in items for path in item.files])
        items = Shard.parse(shard).of(items) if shard else items
        if skip_existing:
            items, skipped = without_existing(
                items, lambda item: [*results_of(item, config, out=out), preview]
            )
            LOGGER.info("%d results exist and are skipped", len(skipped))
        work = partial(
            translate_item, config=config, out=out, preview=preview, completes=skip_existing
        )
        outcomes = []
        for result in watched(run_batch(items, work, jobs=jobs), "translate", total=len(items)):
            outcomes.append(result)
            match result:
                case Done(value=written):
                    _note(log, written, result)
                    yield _line(written)
                case Failed(error=error):
                    _hide(log, result)
                    LOGGER.error("%s", error) if len(items) > 1 else None
        conclude(outcomes)


def _check_several(out: Path | None, preview: Path | None, config: TranslateConfig) -> None:
    """Raises UsageError for what makes sense with one input only."""
    if preview is not None:
        raise UsageError("--preview draws one input; leave it out of a batch")
    if config.companions:
        raise UsageError("--with belongs to one input; use a manifest for a batch")
    if config.series is not None or config.frame is not None:
        raise UsageError("--series and --frame belong to one input; leave them out of a batch")
    if out is not None and is_file_name(out):
        raise UsageError(f"-o {out}: names one file for several results; name a folder")


def _note(log: Record, written: Written, result: Done) -> None:
    """Put what one item did into the record; say its warnings."""
    log.add_input(result.item.path, sha256=written.source_sha256)
    _hide(log, result, written.source_sha256)
    log.inputs += [{"sha256": digest} for digest in written.others_sha256]
    log.model = {"name": written.model, "sha256": written.model_sha256}
    log.device = written.device
    for warning in written.warnings:
        LOGGER.warning("%s", warning)  # the record hears it, unless nobody may speak
        if not LOGGER.isEnabledFor(logging.WARNING):
            log.warnings.append(warning)
    for path in filter(None, (written.output, written.sigma, written.sidecar, written.preview)):
        log.add_output(path)


def _hide(log: Record, result: Done | Failed, digest: str = "") -> None:
    """Keep what an input is called out of the record."""
    log.hide(result.item.path, digest)
    if result.item.study is not None:
        hide_study(log, result.item.study, digest)


def _hide_options(log: Record, inputs: Sequence[Path], config: TranslateConfig) -> None:
    """The same for all that is named in the command, before it is known to exist."""
    for path in (*inputs, *map(Path, config.companions)):
        log.hide(path)
    if config.series:
        log.hide(Path(f"{config.series}.dcm"))


def _line(written: Written) -> dict[str, Any]:
    line = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in asdict(written).items()
    }
    return line | {"seconds": round(written.seconds, 2)}
