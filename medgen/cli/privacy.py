"""Names in a manifest stay out of a record, and it replaces none of the files that are listed."""

from pathlib import Path
from typing import TYPE_CHECKING

from medgen.record import Record

if TYPE_CHECKING:
    from medgen.data.study import Study


def hide_study(log: Record, study: "Study", digest: str = "") -> None:
    """Keep the names of a study and of its files out of the record.

    Raises:
        UsageError: If the record would replace one of the files.
    """
    for path in study.files:
        log.hide(path, digest)
    log.hide(Path(f"{study.id}.png"), digest)  # as results are called after it


def hide_manifest(log: Record, manifest: Path) -> None:
    """The same of every study that a manifest lists.

    Raises:
        InputError: If it cannot be read.
        UsageError: If the record would replace a file of one of them.
    """
    from medgen.data.manifest import read_manifest  # pydantic takes a while

    for study in read_manifest(manifest, allow_outside=True):
        hide_study(log, study)
