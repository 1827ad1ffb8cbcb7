"""A weave of other scans as the command line runs it: recorded, told."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from medgen.cli.voice import is_quiet
from medgen.cli.weave_run import line_of, note_written, tell
from medgen.errors import UsageError
from medgen.record import Record, recording
from medgen.tasks.given import Given
from medgen.tasks.weaving.from_scans import WithConfig
from medgen.tasks.weaving.from_scans_files import Lender, write_woven_with


def refuse_others(typed: Mapping[str, object]) -> None:
    """Refuse options that say how concepts are woven.

    Args:
        typed: What was typed, by the option's name; None or an empty list for nothing.

    Raises:
        UsageError: If anything was.
    """
    for name, value in typed.items():
        if value is not None and value != []:
            raise UsageError(f"--{name}: is for concepts; weave them before or after --with")


def run_with(
    scan: str,
    words: Sequence[str],
    config: WithConfig,
    *,
    out: Path | None,
    preview: Path | None,
    record: Path | None,
) -> Iterator[dict[str, Any]]:
    """Weave regions of other scans into one; yields what is told of it, as JSON takes it.

    Raises:
        MedgenError: In one line: what is wrong.
    """
    log = Record("weave", config, device=config.device)
    with recording(record, log, overwrite=config.overwrite):
        given = Given.parse(scan).path
        log.hide(given)
        lenders = [Lender.parse(word) for word in words]
        for one in lenders:
            log.hide(one.scan.path)
            log.hide(one.mask)
        written = write_woven_with(scan, lenders, config, out, preview=preview)
        log.add_input(given, sha256=written.sources[0])
        for one, sha256 in zip(lenders, written.sources[1:], strict=True):
            log.add_input(one.scan.path, sha256=sha256)
            log.add_input(one.mask)
        note_written(log, written)
        if not is_quiet():
            tell(written)
        yield line_of(written)
