"""Studies as the command line reports them: one or many, recorded, watched, concluded."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from medgen.cli.privacy import hide_listed, hide_study
from medgen.cli.progress import watched
from medgen.errors import UsageError
from medgen.io.names import is_file_name
from medgen.io.sidecar import sidecar_path
from medgen.record import Record, recording
from medgen.tasks.batch import (
    Done,
    Failed,
    Item,
    Shard,
    collect,
    conclude,
    run_batch,
    without_existing,
)
from medgen.tasks.given import Given
from medgen.tasks.report import load_reporter
from medgen.tasks.reporting.config import ReportConfig
from medgen.tasks.reporting.files import ENDINGS, Written, given_of, write_report
from medgen.tasks.reporting.images import MOST

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Line:
    """What is told of one report."""

    id: str
    written: Written

    @property
    def is_line(self) -> bool:
        """Whether a path is said, and not the report itself."""
        return self.written.output is not None

    @property
    def said(self) -> str:
        """For a person: where the report is, or the report."""
        return str(self.written.output) if self.written.output else self.written.text

    def as_json(self) -> dict[str, Any]:
        """For a script."""
        written = self.written
        return {
            "id": self.id,
            "output": str(written.output) if written.output else None,
            "text": written.text,
            "evidence": [str(path) for path in written.evidence],
            "seconds": written.seconds,
            **written.document,
        }


def run_report(
    inputs: Sequence[str],
    config: ReportConfig,
    *,
    out: Path | None,
    ending: str | None,
    evidence: Path | None,
    shard: str | None,
    skip_existing: bool,
    record: Path | None,
) -> Iterator[Line]:
    """Report every study.

    Raises:
        SomeFailedError: At the end, if some of several studies failed.
        MedgenError: The error of the only study.
    """
    log = Record("report", config, seed=config.seed, device=config.device)
    with recording(record, log, overwrite=config.overwrite):
        _hide(log, inputs, config)
        if record is not None:
            for word in inputs:
                hide_listed(log, Given.parse(word).path)
        items, images_of = _items(inputs)
        if len(items) > 1:
            _check_several(out, config)
        is_file = out is not None and is_file_name(out)
        if out is not None and is_file and out.suffix.lower() not in ENDINGS:
            raise UsageError(f"-o {out}: a report is written as {', '.join(ENDINGS)}")
        if out is not None and is_file and ending not in (None, out.suffix.lower()):
            raise UsageError(f"-o {out}: is no {ending}; leave --format out")
        items = Shard.parse(shard).of(items) if shard else items

        def output_of(item: Item) -> Path | None:
            return out if is_file or out is None else out / f"{item.name}{ending or '.txt'}"

        if out is not None:
            named = [output_of(item) or out for item in items]
            log.keep_apart([*named, *(sidecar_path(path.with_suffix("")) for path in named)])
        if skip_existing and out is not None:
            items, skipped = without_existing(items, lambda item: [output_of(item) or out])
            LOGGER.info("%d results exist and are skipped", len(skipped))
        kinds = load_reporter(config).finder.finder.config.kinds

        def work(item: Item) -> Written:
            given = given_of(item.study, kinds) if item.study else images_of(item)
            name = item.name.replace("/", "_")
            return write_report(given, config, out=output_of(item), evidence=evidence, name=name)

        results = []
        for result in watched(run_batch(items, work), "report", total=len(items)):
            results.append(result)
            _hide_item(log, result.item)
            match result:
                case Done(item=item, value=written):
                    _note(log, written)
                    yield Line(item.name, written)
                case Failed(error=error):
                    LOGGER.error("%s", error) if len(items) > 1 else None
        conclude(results)


def _items(inputs: Sequence[str]) -> tuple[list[Item], Callable[[Item], list[Given]]]:
    """The studies, and how the images of one that is no manifest's are found."""
    given = [Given.parse(word) for word in inputs]
    many = [one for one in given if one.kind is None and _is_many(one.path)]
    if many and len(given) > 1:
        raise UsageError(f"{many[0].path}: is a batch; name it alone")
    if many:
        return collect([many[0].path]), lambda item: [Given(item.path)]
    if len(given) > MOST:
        raise UsageError(
            f"{len(given)} images: a report is of at most {MOST} of one study; "
            "name a manifest or a folder for many studies"
        )
    (first, *_) = collect([given[0].path])
    return [first], partial(_all, given)


def _all(given: list[Given], item: Item) -> list[Given]:
    return given


def _is_many(path: Path) -> bool:
    """A manifest, or a folder that is no DICOM series."""
    if path.suffix == ".jsonl":
        return True
    return path.is_dir() and [item.path for item in collect([path])] != [path]


def _check_several(out: Path | None, config: ReportConfig) -> None:
    """Raises UsageError for what makes sense with one study only."""
    if config.prior is not None or config.indication:
        raise UsageError("--prior and --indication belong to one study; leave them out of a batch")
    if out is not None and not out.is_dir() and out.suffix.lower() in ENDINGS:
        raise UsageError(f"-o {out}: names one file for several reports; name a folder")


def _note(log: Record, written: Written) -> None:
    """Put what one study did into the record; say its warnings."""
    for digest in written.sources:
        log.inputs.append({"sha256": digest})
    log.model = {
        "name": written.document["Model"]["Name"],
        "sha256": written.document["Model"]["SHA256"],
    }
    log.device = written.device
    for warning in written.warnings:
        LOGGER.warning("%s", warning)
    if written.document["NothingFound"]:
        LOGGER.info("no finding is above the threshold")
    for path in (written.output, written.sidecar, *written.evidence):
        if path is not None:
            log.add_output(path)


def _hide_item(log: Record, item: Item) -> None:
    """The same of what a manifest or a folder names."""
    log.hide(item.path)
    if item.study is not None:
        hide_study(log, item.study)


def _hide(log: Record, inputs: Sequence[str], config: ReportConfig) -> None:
    """Keep what inputs are called out of the record."""
    for word in (*inputs, *([config.prior] if config.prior else [])):
        log.hide(Given.parse(word).path)
